#include "tools/train/moment_stash.h"

#include <algorithm>

#include "engine/gemm.h"

namespace ab {
namespace {

// The overlapping top-left corner of `from` in a zeroed (rows, cols) matrix: rank is one of the
// extents.
std::vector<float> fitted(const std::vector<float>& from, int64_t from_rows, int64_t from_cols,
                          int64_t rows, int64_t cols) {
  std::vector<float> to(static_cast<size_t>(rows * cols), 0.0f);
  for (int64_t r = 0; r < std::min(rows, from_rows); ++r)
    std::copy_n(from.begin() + r * from_cols, std::min(cols, from_cols), to.begin() + r * cols);
  return to;
}

}  // namespace

void MomentStash::save(Replica& replica, const FactoredWeight& weight) {
  Runtime& runtime = replica.device.runtime();
  for (const Parameter* p : {&weight.dense(), &weight.a(), &weight.b()}) {
    if (!p->present || !p->trainable) continue;
    Moments& moments = saved_[p->name];
    moments.rows = p->shape[0];
    moments.cols = p->shape.elements() / p->shape[0];
    moments.updates = replica.adamw.updates(*p);
    moments.first.resize(static_cast<size_t>(p->shape.elements()));
    moments.second.resize(moments.first.size());
    const Stream stream = replica.device.stream();
    runtime.copy_to_host(stream, moments.first.data(), replica.adamw.first_moment(*p).data(),
                         p->value.bytes());
    runtime.copy_to_host(stream, moments.second.data(), replica.adamw.second_moment(*p).data(),
                         p->value.bytes());
  }
}

void MomentStash::restore(Replica& replica, const FactoredWeight& weight) {
  Runtime& runtime = replica.device.runtime();
  const Stream stream = replica.device.stream();
  for (const Parameter* p : {&weight.dense(), &weight.a(), &weight.b()}) {
    const auto found = saved_.find(p->name);
    if (!p->present || !p->trainable || found == saved_.end()) continue;
    const Moments& moments = found->second;
    const int64_t rows = p->shape[0], cols = p->shape.elements() / rows;
    const auto put = [&](const std::vector<float>& values, const Tensor& to) {
      const std::vector<float> whole = fitted(values, moments.rows, moments.cols, rows, cols);
      runtime.copy_to_device(stream, to.data(), whole.data(), to.bytes());
      runtime.synchronize(stream);
    };
    put(moments.first, replica.adamw.first_moment(*p));
    put(moments.second, replica.adamw.second_moment(*p));
    replica.adamw.updates(*p) = moments.updates;
  }
}

void MomentStash::project(Replica& replica, const FactoredWeight& weight) const {
  const auto found = saved_.find(weight.name());
  if (!weight.factored() || found == saved_.end()) return;
  const Moments& moments = found->second;
  const Parameter& trained = weight.a().trainable ? weight.a() : weight.b();
  const Parameter& fixed = weight.a().trainable ? weight.b() : weight.a();
  const bool outer = &trained == &weight.outer();
  Runtime& runtime = replica.device.runtime();
  const Stream stream = replica.device.stream();
  const auto upload = [&](const std::vector<float>& values, int64_t rows, int64_t cols) {
    Tensor tensor(replica.border, {rows, cols}, DType::kFloat32);
    runtime.copy_to_device(stream, tensor.data(), values.data(), tensor.bytes());
    return tensor;
  };
  const auto multiply_by = [&](const Tensor& factor, const Tensor& whole, const Tensor& to) {
    if (outer)
      multiply(replica.border, stream, whole, false, factor, true, to);
    else
      multiply(replica.border, stream, factor, true, whole, false, to);
  };
  const int64_t k = weight.rank(), rows = outer ? weight.out() : k, cols = outer ? k : weight.in();
  const int64_t fixed_rows = outer ? k : weight.out(), fixed_cols = outer ? weight.in() : k;
  std::vector<float> squares(static_cast<size_t>(fixed_rows * fixed_cols));
  runtime.copy_to_host(stream, squares.data(), fixed.value.data(), fixed.value.bytes());
  for (float& x : squares) x *= x;
  multiply_by(fixed.value.reshaped({fixed_rows, fixed_cols}),
              upload(moments.first, weight.out(), weight.in()),
              replica.adamw.first_moment(trained).reshaped({rows, cols}));
  multiply_by(upload(squares, fixed_rows, fixed_cols),
              upload(moments.second, weight.out(), weight.in()),
              replica.adamw.second_moment(trained).reshaped({rows, cols}));
  runtime.synchronize(stream);
  replica.adamw.updates(trained) = moments.updates;
}

void MomentStash::add_sources(std::vector<SafetensorsSource>& sources) const {
  for (const auto& [name, m] : saved_) {
    sources.push_back(
        source_of("stash.first." + name, DType::kFloat32, {m.rows, m.cols}, m.first.data()));
    sources.push_back(
        source_of("stash.second." + name, DType::kFloat32, {m.rows, m.cols}, m.second.data()));
    sources.push_back(source_of("stash.updates." + name, DType::kInt64, {1}, &m.updates));
  }
}

void MomentStash::load(const SafetensorsFile& file) {
  const std::string prefix = "stash.first.";
  for (const SafetensorsEntry& entry : file.entries()) {
    if (!entry.name.starts_with(prefix) || entry.shape.size() != 2) continue;
    const std::string name = entry.name.substr(prefix.size());
    Moments& m = saved_[name];
    m.rows = entry.shape[0];
    m.cols = entry.shape[1];
    m.first.resize(static_cast<size_t>(m.rows * m.cols));
    m.second.resize(m.first.size());
    file.read(entry, m.first.data());
    file.read(file.expect("stash.second." + name, DType::kFloat32, entry.shape), m.second.data());
    file.read(file.expect("stash.updates." + name, DType::kInt64, {1}), &m.updates);
  }
}

}  // namespace ab
