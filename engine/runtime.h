// Seam: memory, copies and streams of one device.
//   host: plain memory, calls run at once.   cuda: the CUDA runtime.   dry: addresses without
//   memory.
// runtime_host.cpp, runtime_cuda.cpp and runtime_dry.h hold one class each; device.cpp picks.
// A device has three queues, so that copies and collectives go on beside the computation; work on
// one waits for work on another only where wait_for() says so.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "kernels/stream.h"

namespace ab {

enum class Queue : uint8_t { kCompute, kCopy, kCommunication };

class Runtime {
 public:
  virtual ~Runtime() = default;

  // 64-byte aligned, never null, in the order of the compute queue: other queues wait_for() it
  // before they use the memory, and it waits for them before the memory is released. Throws
  // DeviceError with bytes asked, held and available.
  virtual DevicePtr allocate(size_t bytes) = 0;
  virtual void release(DevicePtr address, size_t bytes) = 0;

  // Returns when `from` may be changed again.
  virtual void copy_to_device(Stream stream, DevicePtr to, const void* from, size_t bytes) = 0;
  // Returns when `to` holds the bytes.
  virtual void copy_to_host(Stream stream, void* to, DevicePtr from, size_t bytes) = 0;
  virtual void copy(Stream stream, DevicePtr to, DevicePtr from, size_t bytes) = 0;
  virtual void zero(Stream stream, DevicePtr to, size_t bytes) = 0;
  virtual void synchronize(Stream stream) = 0;

  virtual Stream queue(Queue queue) = 0;
  // What is put on `later` from now on starts when all that `earlier` holds now is done.
  virtual void wait_for(Stream, Stream) {}
  // Called now and then, with the seconds waited so far, while a thread waits for the device. It
  // may throw: a communicator notices there that a partner is lost.
  virtual void set_watch(const std::function<void(double waited_s)>&) {}

  // A stretch of the calling thread's work in a profiler's timeline; see ranges.h.
  virtual void begin_range(const char*) {}
  virtual void end_range() {}

  // Seconds that the work `put` lays on the stream takes there.
  virtual double time(Stream stream, const std::function<void()>& put) {
    synchronize(stream);
    const auto start = std::chrono::steady_clock::now();
    put();
    synchronize(stream);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

}  // namespace ab
