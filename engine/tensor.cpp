#include "engine/tensor.h"

#include <stdexcept>
#include <utility>

namespace ab {

Tensor::Tensor(Arena& arena, const Shape& shape, DType dtype)
    : shape_(shape), dtype_(dtype), arena_(&arena) {
  block_ = arena.acquire(bytes());
  data_ = arena.address(block_);
}

Tensor::Tensor(const Tensor& other)
    : slot(other.slot),
      data_(other.data_),
      shape_(other.shape_),
      dtype_(other.dtype_),
      arena_(other.arena_),
      block_(other.block_) {
  if (arena_) arena_->retain(block_);
}

Tensor::Tensor(Tensor&& other) noexcept
    : slot(std::exchange(other.slot, -1)),
      data_(std::exchange(other.data_, DevicePtr())),
      shape_(other.shape_),
      dtype_(other.dtype_),
      arena_(std::exchange(other.arena_, nullptr)),
      block_(std::exchange(other.block_, -1)) {}

Tensor& Tensor::operator=(Tensor other) noexcept {
  std::swap(slot, other.slot);
  std::swap(data_, other.data_);
  std::swap(shape_, other.shape_);
  std::swap(dtype_, other.dtype_);
  std::swap(arena_, other.arena_);
  std::swap(block_, other.block_);
  return *this;
}

Tensor Tensor::reshaped(const Shape& shape) const {
  if (shape.elements() != elements())
    throw std::invalid_argument("reshape " + shape_.text() + " to " + shape.text());
  Tensor view = *this;
  view.shape_ = shape;
  return view;
}

void Tensor::drop() {
  if (arena_) arena_->release(block_);
  arena_ = nullptr;
}

}  // namespace ab
