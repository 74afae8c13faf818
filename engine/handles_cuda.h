// What the CUDA seams share: handles that destroy themselves, the words of a failed call, and
// workspace from the arena on the alignment that the vendors ask for.
#pragma once
#include <string>
#include <utility>

#include "engine/error.h"
#include "engine/tensor.h"

namespace ab::cuda {

// Owns what a vendor's create function filled in; destroyed with kDestroy.
template <class T, auto kDestroy>
class Handle {
 public:
  Handle() = default;
  ~Handle() {
    if (value_) kDestroy(value_);
  }
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }

  T get() const { return value_; }
  // Where a create function writes; only while the handle is empty.
  T* slot() { return &value_; }

 private:
  T value_ = nullptr;
};

// "cublasLtMatmul failed: ...", from the text of the call as it stands in the source.
[[noreturn]] inline void vendor_failed(const char* call, const std::string& error) {
  const std::string text(call);
  throw DeviceError(text.substr(0, text.find('(')) + " failed: " + error);
}

// Bytes of the arena that begin on a multiple of 256, as cuDNN and cuSOLVER want their workspace.
class Workspace {
 public:
  Workspace(Arena& arena, size_t bytes) {
    if (bytes > 0)
      memory_ = Tensor(arena, {static_cast<int64_t>(bytes + kAlignment)}, DType::kUint8);
  }
  void* address() const {
    if (!memory_) return nullptr;
    const auto raw = reinterpret_cast<uintptr_t>(memory_.data().as<void>());
    return memory_.data().plus_bytes((kAlignment - raw % kAlignment) % kAlignment).as<void>();
  }

 private:
  static constexpr size_t kAlignment = 256;
  Tensor memory_;
};

}  // namespace ab::cuda
