// Seam: memory, copies and streams of one device.
//   host: plain memory, calls run at once.   cuda: the CUDA runtime.   dry: addresses without
//   memory.
// runtime_host.cpp, runtime_cuda.cpp and runtime_dry.cpp hold one class each; registry.cpp picks.
#pragma once
#include <cstdint>
#include <memory>

#include "kernels/stream.h"

namespace ab {

class Runtime {
 public:
  virtual ~Runtime() = default;

  // 64-byte aligned, never null. Throws DeviceError with bytes asked, held and available.
  virtual DevicePtr allocate(size_t bytes) = 0;
  virtual void release(DevicePtr address, size_t bytes) = 0;

  virtual void copy_to_device(Stream stream, DevicePtr to, const void* from, size_t bytes) = 0;
  // Returns when `to` holds the bytes.
  virtual void copy_to_host(Stream stream, void* to, DevicePtr from, size_t bytes) = 0;
  virtual void copy(Stream stream, DevicePtr to, DevicePtr from, size_t bytes) = 0;
  virtual void zero(Stream stream, DevicePtr to, size_t bytes) = 0;
  virtual void synchronize(Stream stream) = 0;
  virtual Stream create_stream() = 0;
};

}  // namespace ab
