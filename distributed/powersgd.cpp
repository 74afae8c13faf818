#include "distributed/powersgd.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "engine/gemm.h"
#include "kernels/cast.h"
#include "kernels/elementwise.h"
#include "kernels/orthonormal.h"
#include "kernels/philox.h"

namespace ab {
namespace {

Tensor slice(const Tensor& flat, int64_t at, const Shape& shape) {
  return Tensor(flat.data().plus_bytes(static_cast<size_t>(at) * size_of(flat.dtype())), shape,
                flat.dtype());
}

void mark(bool& ready, const Parameter& parameter) {
  if (ready)
    throw std::logic_error("powersgd: " + parameter.name + " is ready a second time in one step");
  ready = true;
}

}  // namespace

int64_t compressed_rank(int64_t m, int64_t n, int64_t rank, double min_compression) {
  const int64_t r = std::min(rank, n);
  const double whole = static_cast<double>(m) * static_cast<double>(n);
  return whole > min_compression * static_cast<double>(r * (m + n)) ? r : 0;
}

PowerSgd::PowerSgd(ParameterStore& store, Communicator& communicator,
                   std::vector<CompressedMatrix> matrices, const PowerSgdSettings& settings)
    : store_(store),
      communicator_(communicator),
      reduce_dtype_(settings.reduce_dtype),
      wait_(store.device().runtime().stopwatch()),
      arena_(store.device()) {
  int64_t errors = 0, p = 0, q = 0, whole = 0;
  for (const CompressedMatrix& matrix : matrices) {
    places_.push_back({matrix, errors, p, q});
    if (settings.error_feedback) errors += matrix.rows * matrix.cols;
    p += matrix.rank * matrix.n();
    q += matrix.rank * matrix.m();
  }
  for (const Parameter& parameter : store.parameters()) {
    const bool compressed =
        std::any_of(matrices.begin(), matrices.end(),
                    [&](const CompressedMatrix& m) { return m.parameter == &parameter; });
    if (!parameter.present || !parameter.trainable || compressed) continue;
    whole_.push_back({&parameter});
    whole += parameter.shape.elements();
  }
  const int64_t narrow = reduce_dtype_ == DType::kFloat32 ? 0 : whole;
  Device& device = store.device();
  memory_ = Buffer(device, static_cast<size_t>(errors + p + q + whole) * sizeof(float) +
                               static_cast<size_t>(narrow) * size_of(reduce_dtype_));
  device.runtime().zero(stream(), memory_.data(), memory_.bytes());
  const Tensor all(memory_.data(), {errors + p + q + whole}, DType::kFloat32);
  if (errors > 0) errors_ = slice(all, 0, {errors});
  if (p > 0) p_ = slice(all, errors, {p});
  if (q > 0) q_ = slice(all, errors + p, {q});
  if (whole > 0) packed_ = slice(all, errors + p + q, {whole});
  if (narrow > 0) narrow_ = Tensor(all.data().plus_bytes(all.bytes()), {narrow}, reduce_dtype_);
  draw_starts(settings.seed);
}

// Standard normal numbers (Box and Muller, 1958).
void PowerSgd::draw_starts(uint64_t seed) {
  std::vector<float> values(q_ ? static_cast<size_t>(q_.elements()) : 0);
  for (size_t i = 0; i < values.size(); ++i) {
    const Random4 word = philox(seed, 0x706f776572u, i);
    const double radius = std::sqrt(-2.0 * std::log((word.x + 1.0) * 0x1p-32));
    values[i] = static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * word.y * 0x1p-32));
  }
  if (!q_) return;
  store_.device().runtime().copy_to_device(stream(), q_.data(), values.data(), q_.bytes());
}

// M: the errors' slice once it holds the gradient too, or the gradient itself.
Tensor PowerSgd::matrix_of(const Place& place) const {
  const Shape shape{place.matrix.rows, place.matrix.cols};
  return errors_ ? slice(errors_, place.error_at, shape)
                 : place.matrix.parameter->gradient.reshaped(shape);
}
Tensor PowerSgd::p_of(const Place& place) const {
  return slice(p_, place.p_at, {place.matrix.rank, place.matrix.n()});
}
Tensor PowerSgd::q_of(const Place& place) const {
  return slice(q_, place.q_at, {place.matrix.rank, place.matrix.m()});
}

void PowerSgd::begin_step() {
  for (Place& place : places_) place.ready = false;
  for (Whole& whole : whole_) whole.ready = false;
  wait_->reset();
}

void PowerSgd::ready(const Parameter& parameter) {
  for (Place& place : places_)
    if (place.matrix.parameter == &parameter) {
      mark(place.ready, parameter);
      return project(place);
    }
  for (Whole& whole : whole_)
    if (whole.parameter == &parameter) return mark(whole.ready, parameter);
  throw std::logic_error("powersgd: " + parameter.name + " was not trainable at its beginning");
}

// P and Q are held transposed, (r, n) and (r, m), so that their vectors are rows: P^T = Q^T M.
void PowerSgd::project(Place& place) {
  const Tensor& gradient = place.matrix.parameter->gradient;
  const Tensor m = matrix_of(place);
  if (errors_)
    accumulate(stream(), DType::kFloat32, gradient.elements(), m.data(), gradient.data());
  multiply(arena_, stream(), q_of(place), false, m, place.matrix.wide(), p_of(place));
}

// Q^T = P^T M^T of this rank's M, then E = M - Q P^T.
void PowerSgd::find_remainder(const Place& place) {
  const bool wide = place.matrix.wide();
  const Tensor m = matrix_of(place), p = p_of(place), q = q_of(place);
  multiply(arena_, stream(), p, false, m, !wide, q);
  if (errors_) multiply(arena_, stream(), wide ? p : q, true, wide ? q : p, false, m, 1.0f, -1.0f);
}

std::unique_ptr<Pending> PowerSgd::send_whole() {
  if (!packed_) return nullptr;
  int64_t at = 0;
  for (const Whole& whole : whole_) {
    const Tensor& gradient = whole.parameter->gradient;
    const Tensor place = slice(packed_, at, gradient.shape());
    if (whole.ready)
      store_.device().runtime().copy(stream(), place.data(), gradient.data(), gradient.bytes());
    else
      store_.device().runtime().zero(stream(), place.data(), place.bytes());
    at += gradient.elements();
  }
  if (narrow_)
    cast(stream(), packed_.elements(), packed_.data(), DType::kFloat32, narrow_.data(),
         reduce_dtype_);
  const Tensor& sent = narrow_ ? narrow_ : packed_;
  return communicator_.start_all_reduce(Purpose::kGradients, stream(), sent.data(), sent.elements(),
                                        sent.dtype());
}

void PowerSgd::receive_whole() {
  if (narrow_)
    cast(stream(), packed_.elements(), narrow_.data(), reduce_dtype_, packed_.data(),
         DType::kFloat32);
  scale(stream(), DType::kFloat32, packed_.elements(), packed_.data(),
        1.0f / static_cast<float>(communicator_.size()));
  int64_t at = 0;
  for (const Whole& whole : whole_) {
    const Tensor& gradient = whole.parameter->gradient;
    store_.device().runtime().copy(stream(), gradient.data(),
                                   slice(packed_, at, gradient.shape()).data(), gradient.bytes());
    at += gradient.elements();
  }
}

void PowerSgd::wait(Pending& pending) {
  wait_->start(stream());
  pending.wait();
  wait_->stop(stream());
}

void PowerSgd::finish_step() {
  for (Place& place : places_) {
    if (place.ready) continue;
    const Tensor& gradient = place.matrix.parameter->gradient;
    store_.device().runtime().zero(stream(), gradient.data(), gradient.bytes());
    project(place);
  }
  const std::unique_ptr<Pending> whole = send_whole();
  if (!places_.empty()) {
    wait(*communicator_.start_all_reduce(Purpose::kLowRankP, stream(), p_.data(), p_.elements(),
                                         DType::kFloat32));
    std::vector<Frame> frames;
    for (const Place& place : places_)
      frames.push_back({p_of(place).data(), place.matrix.rank, place.matrix.n()});
    orthonormalise_rows(stream(), frames);
    for (const Place& place : places_) find_remainder(place);
    wait(*communicator_.start_all_reduce(Purpose::kLowRankQ, stream(), q_.data(), q_.elements(),
                                         DType::kFloat32));
    scale(stream(), DType::kFloat32, q_.elements(), q_.data(),
          1.0f / static_cast<float>(communicator_.size()));
    for (const Place& place : places_) {
      const bool wide = place.matrix.wide();
      const Tensor p = p_of(place), q = q_of(place);
      multiply(arena_, stream(), wide ? p : q, true, wide ? q : p, false,
               place.matrix.parameter->gradient.reshaped({place.matrix.rows, place.matrix.cols}));
    }
  }
  if (whole) {
    wait(*whole);
    receive_whole();
  }
  arena_.end_step();
}

}  // namespace ab
