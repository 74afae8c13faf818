#include "optim/adamw.h"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "engine/patterns.h"
#include "kernels/norm.h"

namespace ab {
namespace {

DevicePtr at(const Tensor& flat, int64_t element) {
  return flat.data().plus_bytes(static_cast<size_t>(element) * sizeof(float));
}

size_t index_of(const ParameterStore& store, const Parameter& parameter) {
  size_t index = 0;
  for (const Parameter& other : store.parameters()) {
    if (&other == &parameter) return index;
    ++index;
  }
  throw std::logic_error("AdamW knows no parameter " + parameter.name);
}

}  // namespace

AdamW::AdamW(ParameterStore& store, const AdamWSettings& settings)
    : store_(store), settings_(settings) {
  for (const Parameter& parameter : store.parameters()) {
    decay_.push_back(!matches_any_pattern(parameter.name, settings.decay_exclude));
    updates_.push_back(0);
  }
  rates_ = Buffer(store.device(), updates_.size() * sizeof(AdamWRates));
  relayout({});
}

void AdamW::relayout(const std::vector<Move>& moves) {
  Device& device = store_.device();
  const Stream stream = device.stream();
  const int64_t elements = store_.trainable_elements();
  const Buffer old_memory = std::move(memory_);
  const Tensor old[] = {first_, second_};
  memory_ = Buffer(device, static_cast<size_t>(2 * elements) * sizeof(float));
  first_ = Tensor(memory_.data(), {elements}, DType::kFloat32);
  second_ = Tensor(at(first_, elements), {elements}, DType::kFloat32);
  device.runtime().zero(stream, memory_.data(), memory_.bytes());

  std::vector<int64_t> kept(updates_.size(), 0);
  for (const Move& move : moves) {
    const size_t bytes = static_cast<size_t>(move.parameter->shape.elements()) * sizeof(float);
    device.runtime().copy(stream, at(first_, move.to), at(old[0], move.from), bytes);
    device.runtime().copy(stream, at(second_, move.to), at(old[1], move.from), bytes);
    const size_t index = index_of(store_, *move.parameter);
    kept[index] = updates_[index];
  }
  updates_ = std::move(kept);
  device.runtime().synchronize(stream);  // the old moments may go now
}

// Neighbours in the flat buffers that share decay and t are one launch. Found anew each step, since
// t may have been set from a checkpoint; no memory is taken once `runs_` has grown.
void AdamW::find_runs() {
  runs_.clear();
  size_t index = 0;
  for (const Parameter& parameter : store_.parameters()) {
    const size_t i = index++;
    if (parameter.gradient_offset < 0) continue;
    const Run next{parameter.gradient_offset, parameter.shape.elements(), updates_[i],
                   decay_[i] != 0};
    const bool joins = !runs_.empty() && runs_.back().first + runs_.back().elements == next.first &&
                       runs_.back().updates == next.updates && runs_.back().decay == next.decay;
    if (joins)
      runs_.back().elements += next.elements;
    else
      runs_.push_back(next);
  }
}

void AdamW::begin_step(Stream stream, double lr) {
  size_t index = 0;
  for (const Parameter& parameter : store_.parameters()) {
    if (parameter.gradient_offset >= 0) ++updates_[index];
    ++index;
  }
  find_runs();
  host_rates_.clear();
  for (const Run& run : runs_) {
    const double t = static_cast<double>(run.updates);
    host_rates_.push_back({static_cast<float>(lr),
                           static_cast<float>(1.0 / (1.0 - std::pow(settings_.beta1, t))),
                           static_cast<float>(1.0 / (1.0 - std::pow(settings_.beta2, t)))});
  }
  store_.device().runtime().copy_to_device(stream, rates_.data(), host_rates_.data(),
                                           host_rates_.size() * sizeof(AdamWRates));
}

void AdamW::step(Stream stream, DevicePtr scale) {
  for (size_t i = 0; i < runs_.size(); ++i) {
    const Run& run = runs_[i];
    AdamWArguments arguments;
    arguments.n = run.elements;
    arguments.p = at(store_.values(), run.first);  // trainable values stand first, in this order
    arguments.g = at(store_.gradients(), run.first);
    arguments.m = at(first_, run.first);
    arguments.v = at(second_, run.first);
    arguments.weight_decay = run.decay ? static_cast<float>(settings_.weight_decay) : 0.0f;
    arguments.beta1 = static_cast<float>(settings_.beta1);
    arguments.beta2 = static_cast<float>(settings_.beta2);
    arguments.one_minus_beta1 = static_cast<float>(1.0 - settings_.beta1);
    arguments.one_minus_beta2 = static_cast<float>(1.0 - settings_.beta2);
    arguments.eps = static_cast<float>(settings_.eps);
    arguments.rates = rates_.data().plus_bytes(i * sizeof(AdamWRates));
    arguments.scale = scale;
    adamw(stream, arguments);
  }
}

int64_t& AdamW::updates(const Parameter& parameter) {
  return updates_[index_of(store_, parameter)];
}

Tensor AdamW::first_moment(const Parameter& parameter) const {
  if (parameter.gradient_offset < 0) return Tensor();
  return Tensor(at(first_, parameter.gradient_offset), parameter.shape, DType::kFloat32);
}

Tensor AdamW::second_moment(const Parameter& parameter) const {
  if (parameter.gradient_offset < 0) return Tensor();
  return Tensor(at(second_, parameter.gradient_offset), parameter.shape, DType::kFloat32);
}

void gradient_squares(Context& context, const Tensor& gradients, DevicePtr squares) {
  const int64_t n = gradients.elements();
  const Tensor partials = context.make({sum_of_squares_partials(n)}, DType::kFloat32);
  sum_of_squares(context.stream, n, gradients.data(), partials.data(), squares);
}

}  // namespace ab
