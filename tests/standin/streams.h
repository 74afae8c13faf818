// Streams, events and who happens before whom. Every stream is a component of a vector clock and
// ticks once per operation. An operation knows what its stream knew (operations before it, events
// waited for) and what the host knew when it was put there. The host is one component for all
// threads: they order themselves by means that no runtime sees.
//   record: event = stream    wait: stream = max(stream, event)    synchronise: host = max(host, .)
// A stream also keeps a time of its own, in seconds: an operation takes none, except for what a
// test sets, and begins when the host has put it there and what it waits for is over; that is what
// events with timing tell. An access is safe when every conflicting one before it is known: tick <=
// clock[its stream].
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <memory>
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

// What is put on a stream: run there at once, or, by a graph, on a lane of the graph.
using Operation = std::function<cudaError_t(cudaStream_t)>;

struct Capture;

}  // namespace ab::standin

// The handles' types are the vendor's to name and ours to define.
struct CUstream_st {
  int device = 0;
  size_t component = 0;
  bool waits_for_default = false;  // created without cudaStreamNonBlocking
  std::string name;
  ab::standin::Clock clock;
  double busy = 0.0;                        // when its work so far is over
  ab::standin::Capture* capture = nullptr;  // that it takes part in
};

struct CUevent_st {
  int device = 0;
  bool timed = true, recorded = false;
  int queries = 0;  // since the last record
  double when = 0.0;
  ab::standin::Clock clock;
  // Last recorded in a capture: that one, its number there, and what it orders.
  std::shared_ptr<ab::standin::Capture> captured;
  size_t mark = 0;
  ab::standin::Clock known;
};

namespace ab::standin {

// Guards everything the runtime keeps: streams, events, allocations.
std::mutex& runtime_mutex();

// With runtime_mutex() held. Null is the current device's default stream. Reports and returns null
// when the stream was destroyed or never existed.
CUstream_st* find_stream(cudaStream_t stream, const std::string& what);
CUevent_st* find_event(cudaEvent_t event, const std::string& what);
CUstream_st* make_stream(int device, bool waits_for_default, const std::string& name);
void record_now(CUstream_st& stream, CUevent_st& event);
// The default stream waits for the blocking streams of its device, and they for it.
void obey_default(CUstream_st* stream);
const Clock& host_clock();
void host_learns(const Clock& clock);
void host_learns_device(int device);

double host_seconds();

// -1: no such stream. Takes runtime_mutex().
int device_of(cudaStream_t stream);
int device_count();
int current_device();

// Puts an operation on a stream: runs it at once, or keeps it where the stream is being captured.
// An empty one cannot be kept. Takes runtime_mutex().
cudaError_t submit(cudaStream_t stream, const std::string& what, const Operation& operation);
// The first thing an operation does: checks that it may be there and may touch what it names. Takes
// runtime_mutex().
cudaError_t enqueue(cudaStream_t stream, const std::string& what, std::span<const Access> accesses);
// The stream's work so far lasts longer by so many seconds. Takes runtime_mutex().
void take_time(cudaStream_t stream, double seconds);

}  // namespace ab::standin
