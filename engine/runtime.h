// Seam: memory, copies and streams of one device.
//   host: plain memory, calls run at once.   cuda: the CUDA runtime.   dry: addresses without
//   memory.
// runtime_host.cpp, runtime_cuda.cpp and runtime_dry.h hold one class each; device.cpp picks.
// A device has three queues, so that copies and collectives go on beside the computation; work on
// one waits for work on another only where wait_for() says so.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "engine/error.h"
#include "kernels/stream.h"

namespace ab {

enum class Queue : uint8_t { kCompute, kCopy, kCommunication };

// Work that was recorded once and is laid on the device again and again.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void launch() = 0;  // in the order of the compute queue
};

// Thrown by what cannot be part of a graph. Nothing has run then.
struct NotCapturable : DeviceError {
  using DeviceError::DeviceError;
};

// A point in one stream's work that another waits for; before the first record() it is passed.
// Where calls run at once there is nothing to wait for.
class Event {
 public:
  virtual ~Event() = default;
  virtual void record(Stream) {}
  virtual void wait(Stream) {}  // what is put on the stream from now on starts after the point
};

// How long a stream stands still, summed over stretches since reset(). The base class measures the
// host, for streams whose calls run at once. Inside a graph every launch measures anew.
class Stopwatch {
 public:
  virtual ~Stopwatch() = default;
  virtual void reset() { passed_ = {}; }
  virtual void start(Stream) { start_ = std::chrono::steady_clock::now(); }
  virtual void stop(Stream) { passed_ += std::chrono::steady_clock::now() - start_; }
  // Only once the host has waited for the stream; it does not wait itself.
  virtual double seconds() const { return std::chrono::duration<double>(passed_).count(); }

 private:
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::duration passed_{};
};

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
  // Calls `fill` with host memory for `bytes` bytes, whose contents then stand at `to`: the memory
  // itself where the host reaches it, else a copy on its way there. Returns when they do.
  virtual void write(Stream stream, DevicePtr to, size_t bytes,
                     const std::function<void(void*)>& fill) {
    const auto copy = std::make_unique_for_overwrite<std::byte[]>(bytes);
    fill(copy.get());
    copy_to_device(stream, to, copy.get(), bytes);
    synchronize(stream);
  }
  // Returns when `to` holds the bytes.
  virtual void copy_to_host(Stream stream, void* to, DevicePtr from, size_t bytes) = 0;
  virtual void copy(Stream stream, DevicePtr to, DevicePtr from, size_t bytes) = 0;
  virtual void zero(Stream stream, DevicePtr to, size_t bytes) = 0;
  virtual void synchronize(Stream stream) = 0;

  virtual Stream queue(Queue queue) = 0;
  // What is put on `later` from now on starts when all that `earlier` holds now is done.
  virtual void wait_for(Stream, Stream) {}
  virtual std::unique_ptr<Event> event() { return std::make_unique<Event>(); }
  virtual std::unique_ptr<Stopwatch> stopwatch() { return std::make_unique<Stopwatch>(); }

  // Calls `work` once and keeps what it lays on the queues instead of running it; a launch runs it
  // with the arguments and addresses of this call. The compute queue must wait for whatever other
  // queue the work uses. Throws NotCapturable where the work takes device memory, waits for the
  // device or copies from or to the host. Null where the device has no graphs: then `work` was not
  // called.
  virtual std::unique_ptr<Graph> capture(const std::function<void()>&) { return nullptr; }

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
