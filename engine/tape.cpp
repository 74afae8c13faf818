#include "engine/tape.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/elementwise.h"

namespace ab {

void* Tape::place(size_t bytes) {
  constexpr size_t kUnit = alignof(std::max_align_t);
  bytes = (bytes + kUnit - 1) / kUnit * kUnit;
  if (pages_.empty() || used_ + bytes > kPageBytes) {
    if (!pages_.empty()) ++page_;
    if (page_ >= pages_.size()) pages_.push_back(std::make_unique<char[]>(kPageBytes));
    used_ = 0;
  }
  void* memory = pages_[page_].get() + used_;
  used_ += bytes;
  return memory;
}

void Tape::track(Tensor& result) {
  result.slot = static_cast<int>(gradients_.size());
  gradients_.emplace_back();
}

void Tape::use(Parameter& parameter) {
  if (parameter.pending_uses++ == 0) {
    parameter.gradient_written = false;
    used_parameters_.push_back(&parameter);
  }
}

Tensor Tape::take_gradient(int slot) {
  return slot < 0 ? Tensor() : std::exchange(gradients_[slot], Tensor());
}

void Tape::give_gradient(Stream stream, int slot, Tensor dx) {
  if (slot < 0) return;
  Tensor& held = gradients_[slot];
  if (!held) {
    held = std::move(dx);
    return;
  }
  if (held.elements() != dx.elements() || held.dtype() != dx.dtype())
    throw std::logic_error("gradients " + held.shape().text() + " and " + dx.shape().text() +
                           " meet at one tensor");
  if (!held.is_shared())
    return accumulate(stream, held.dtype(), held.elements(), held.data(), dx.data());
  // add() hands one gradient to both its operands: the other one still wants it as it is.
  Tensor sum(*held.arena(), held.shape(), held.dtype());
  add(stream, held.dtype(), held.elements(), sum.data(), held.data(), dx.data());
  held = std::move(sum);
}

float Tape::claim_gradient(Parameter& parameter) {
  return std::exchange(parameter.gradient_written, true) ? 1.0f : 0.0f;
}

void Tape::finish_use(Parameter& parameter) {
  if (--parameter.pending_uses > 0) return;
  if (!parameter.gradient_written)  // its flat gradient would still hold the step before
    throw std::logic_error("no gradient reached " + parameter.name);
  if (listener_) listener_(parameter);
}

void Tape::backward(Runtime* ranges) {
  const std::string* open = nullptr;
  const auto enter = [&](const std::string* layer) {
    if (!ranges || layer == open) return;
    if (open) ranges->end_range();
    if (layer) ranges->begin_range(layer->c_str());
    open = layer;
  };
  while (!entries_.empty()) {
    const Entry entry = entries_.back();
    entries_.pop_back();
    enter(entry.layer);
    entry.run_and_destroy(entry.closure, true);
  }
  enter(nullptr);
  clear();
}

void Tape::clear() {
  while (!entries_.empty()) {
    entries_.back().run_and_destroy(entries_.back().closure, false);
    entries_.pop_back();
  }
  gradients_.clear();
  for (Parameter* parameter : used_parameters_) parameter->pending_uses = 0;
  used_parameters_.clear();
  page_ = 0;
  used_ = 0;
}

}  // namespace ab
