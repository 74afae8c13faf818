// Streams, events and who happens before whom. Every stream is a component of a vector clock and
// ticks once per operation. An operation knows what its stream knew (operations before it, events
// waited for) and what the host knew when it was put there. The host is one component for all
// threads: they order themselves by means that no runtime sees.
//   record: event = stream    wait: stream = max(stream, event)    synchronise: host = max(host, .)
// An access is safe when every conflicting one before it is known: tick <= clock[its stream].
#pragma once
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace ab::standin {

struct Clock {
  std::vector<uint64_t> ticks;  // by component; missing ones are 0

  uint64_t at(size_t component) const { return component < ticks.size() ? ticks[component] : 0; }
  void join(const Clock& other);
  void tick(size_t component);
};

// A range of memory that an operation uses. Host ranges are checked where they are pinned.
struct Access {
  const void* address = nullptr;
  size_t bytes = 0;
  bool write = false;
};

}  // namespace ab::standin

// The handles' types are the vendor's to name and ours to define.
struct CUstream_st {
  int device = 0;
  size_t component = 0;
  bool waits_for_default = false;  // created without cudaStreamNonBlocking
  std::string name;
  ab::standin::Clock clock;
};

struct CUevent_st {
  int device = 0;
  bool timed = true, recorded = false;
  int queries = 0;  // since the last record
  std::chrono::steady_clock::time_point when;
  ab::standin::Clock clock;
};

namespace ab::standin {

// Guards everything the runtime keeps: streams, events, allocations.
std::mutex& runtime_mutex();

// With runtime_mutex() held. Null is the current device's default stream. Reports and returns null
// when the stream was destroyed or never existed.
CUstream_st* find_stream(cudaStream_t stream, const std::string& what);
const Clock& host_clock();
void host_learns(const Clock& clock);
void host_learns_device(int device);

// -1: no such stream. Takes runtime_mutex().
int device_of(cudaStream_t stream);
int device_count();
int current_device();

// Puts an operation on a stream: checks that it may be there and may touch what it names. The
// caller carries it out at once. Takes runtime_mutex().
cudaError_t enqueue(cudaStream_t stream, const std::string& what, std::span<const Access> accesses);

}  // namespace ab::standin
