// Layout: [ trainable present | frozen present ], both in registration order, without gaps, so that
// the bytes of a full gradient are exactly parameters x 4.
#include "engine/parameter_store.h"

#include <stdexcept>
#include <utility>

#include "kernels/cast.h"

namespace ab {
namespace {

Tensor slice(const Buffer& memory, DType dtype, int64_t offset, const Shape& shape) {
  return Tensor(memory.data().plus_bytes(static_cast<size_t>(offset) * size_of(dtype)), shape,
                dtype);
}

Buffer floats(Device& device, int64_t count) {
  return Buffer(device, static_cast<size_t>(count) * sizeof(float));
}

}  // namespace

Parameter& ParameterStore::add(const std::string& name, const Shape& shape, Role role) {
  if (find(name)) throw std::logic_error("two parameters are named " + name);
  Parameter& parameter = parameters_.emplace_back();
  parameter.name = name;
  parameter.shape = shape;
  parameter.role = role;
  return parameter;
}

Parameter& ParameterStore::add_buffer(const std::string& name, const Shape& shape) {
  if (find(name)) throw std::logic_error("two parameters are named " + name);
  Parameter& buffer = buffers_.emplace_back();
  buffer.name = name;
  buffer.shape = shape;
  buffer.role = Role::kNorm;
  buffer.trainable = false;
  return buffer;
}

Parameter* ParameterStore::find(const std::string& name) {
  for (auto* group : {&parameters_, &buffers_})
    for (Parameter& parameter : *group)
      if (parameter.name == name) return &parameter;
  return nullptr;
}

std::vector<Move> ParameterStore::layout() {
  struct Old {
    Tensor value;
    int64_t gradient_offset;
  };
  std::vector<Old> old;
  for (Parameter& parameter : parameters_)
    old.push_back(
        {std::exchange(parameter.value, Tensor()), std::exchange(parameter.gradient_offset, -1)});
  int64_t trainable = 0, total = 0;
  for (const bool wanted : {true, false})
    for (Parameter& parameter : parameters_) {
      if (!parameter.present || parameter.trainable != wanted) continue;
      parameter.value_offset = total;
      total += parameter.shape.elements();
      if (!wanted) continue;
      parameter.gradient_offset = trainable;
      trainable += parameter.shape.elements();
    }
  const Buffer old_values = std::move(value_memory_);
  compute_memory_ = Buffer();
  gradient_memory_ = Buffer();
  value_memory_ = floats(device_, total);
  gradient_memory_ = floats(device_, trainable);
  if (compute_dtype_ != DType::kFloat32)
    compute_memory_ = Buffer(device_, static_cast<size_t>(total) * size_of(compute_dtype_));
  values_ = Tensor(value_memory_.data(), {total}, DType::kFloat32);
  gradients_ = Tensor(gradient_memory_.data(), {trainable}, DType::kFloat32);
  const Stream stream = device_.stream();
  device_.runtime().zero(stream, gradients_.data(), gradients_.bytes());
  std::vector<Move> moves;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = parameters_[i];
    parameter.compute = parameter.gradient = Tensor();
    if (!parameter.present) continue;
    const int64_t at = parameter.value_offset;
    parameter.value = slice(value_memory_, DType::kFloat32, at, parameter.shape);
    parameter.compute = compute_dtype_ == DType::kFloat32
                            ? parameter.value
                            : slice(compute_memory_, compute_dtype_, at, parameter.shape);
    if (parameter.trainable)
      parameter.gradient =
          slice(gradient_memory_, DType::kFloat32, parameter.gradient_offset, parameter.shape);
    const bool kept = old[i].value && old[i].value.shape() == parameter.shape;
    if (kept)
      device_.runtime().copy(stream, parameter.value.data(), old[i].value.data(),
                             parameter.value.bytes());
    else
      device_.runtime().zero(stream, parameter.value.data(), parameter.value.bytes());
    if (kept && parameter.trainable && old[i].gradient_offset >= 0)
      moves.push_back({&parameter, old[i].gradient_offset, parameter.gradient_offset});
  }
  lay_out_buffers();
  device_.runtime().synchronize(stream);  // the old values may go now
  return moves;
}

void ParameterStore::lay_out_buffers() {
  if (buffer_values_ || buffers_.empty()) return;  // statistics never change shape
  int64_t total = 0;
  for (const Parameter& buffer : buffers_) total += buffer.shape.elements();
  buffer_memory_ = floats(device_, total);
  buffer_values_ = Tensor(buffer_memory_.data(), {total}, DType::kFloat32);
  device_.runtime().zero(device_.stream(), buffer_values_.data(), buffer_values_.bytes());
  int64_t at = 0;
  for (Parameter& buffer : buffers_) {
    buffer.value_offset = at;
    buffer.value = buffer.compute = slice(buffer_memory_, DType::kFloat32, at, buffer.shape);
    at += buffer.shape.elements();
  }
}

void ParameterStore::refresh_compute(Stream stream) {
  if (compute_dtype_ == DType::kFloat32) return;
  cast(stream, values_.elements(), values_.data(), DType::kFloat32, compute_memory_.data(),
       compute_dtype_);
}

}  // namespace ab
