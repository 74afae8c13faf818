// Tensor: a dense row-major view of device memory: shape, dtype, address. No strides.
// A tensor that came from an Arena keeps its block alive; one over a flat buffer (parameters,
// gradients, batches) does not own anything. `slot` ties it to its gradient on the tape; -1: none
// is wanted.
#pragma once
#include "engine/arena.h"
#include "engine/shape.h"

namespace ab {

class Tensor {
 public:
  Tensor() = default;
  // A view of memory that somebody else keeps.
  Tensor(DevicePtr data, const Shape& shape, DType dtype)
      : data_(data), shape_(shape), dtype_(dtype) {}
  // Uninitialised memory of the step.
  Tensor(Arena& arena, const Shape& shape, DType dtype);
  ~Tensor() { drop(); }
  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor other) noexcept;

  DevicePtr data() const { return data_; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int64_t elements() const { return shape_.elements(); }
  size_t bytes() const { return static_cast<size_t>(elements()) * size_of(dtype_); }
  explicit operator bool() const { return static_cast<bool>(data_); }
  // Others hold the same block: writing into it would change what they see.
  bool is_shared() const { return arena_ && arena_->references(block_) > 1; }
  Arena* arena() const { return arena_; }  // null for a view

  // The same memory (and gradient) under another shape of as many elements.
  Tensor reshaped(const Shape& shape) const;

  int slot = -1;

 private:
  void drop();

  DevicePtr data_;
  Shape shape_;
  DType dtype_ = DType::kFloat32;
  Arena* arena_ = nullptr;
  int block_ = -1;
};

}  // namespace ab
