// What every kernel launch needs to know: the device, the queue, the element type, an address.
// Defines DeviceKind, DType, DevicePtr and Stream; nothing here touches a vendor's header.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define AB_FN __host__ __device__ __forceinline__
#else
#define AB_FN inline __attribute__((always_inline))
#endif

namespace ab {

// kDry has addresses and sizes but no memory: launches return at once, so that a step can be
// walked through to learn its memory and operations before any device is touched.
enum class DeviceKind : uint8_t { kHost, kCuda, kDry };

enum class DType : uint8_t { kFloat32, kBFloat16, kFloat64, kInt32, kInt64, kUint8 };

constexpr size_t size_of(DType dtype) {
  constexpr size_t kSizes[] = {4, 2, 8, 4, 8, 1};
  return kSizes[static_cast<int>(dtype)];
}

constexpr const char* name_of(DType dtype) {
  constexpr const char* kNames[] = {"fp32", "bf16", "fp64", "int32", "int64", "uint8"};
  return kNames[static_cast<int>(dtype)];
}

// An address in device memory. It has no operator*: only kernels/ and the vendor seams may turn it
// into a typed pointer with as<T>(); everything above copies through the runtime.
class DevicePtr {
 public:
  AB_FN DevicePtr() : address_(nullptr) {}
  AB_FN explicit DevicePtr(void* address) : address_(static_cast<char*>(address)) {}

  template <class T>
  AB_FN T* as() const {
    return reinterpret_cast<T*>(address_);
  }
  AB_FN DevicePtr plus_bytes(size_t bytes) const { return DevicePtr(address_ + bytes); }
  AB_FN explicit operator bool() const { return address_ != nullptr; }
  AB_FN bool operator==(DevicePtr other) const { return address_ == other.address_; }

 private:
  char* address_;
};

// One in-order queue of a device. On the host calls run at once on the caller's OpenMP threads.
struct Stream {
  DeviceKind device = DeviceKind::kHost;
  void* handle = nullptr;  // cudaStream_t on CUDA, unused elsewhere
};

}  // namespace ab
