// Streams and events of the CUDA runtime (streams.h); each function's rules are those of the
// runtime's reference manual. An event's first query after a record answers "not ready", so that
// callers' waiting loops run at least once.
#include "tests/standin/streams.h"

#include <algorithm>
#include <map>
#include <memory>

#include "tests/standin/memory.h"
#include "tests/standin/standin.h"

namespace ab::standin {
namespace {

struct Streams {
  std::mutex mutex;
  std::set<CUstream_st*> live;
  std::set<CUevent_st*> events;
  std::map<int, CUstream_st*> defaults;  // by device
  Clock host;
  size_t components = 0;
};

Streams& streams() {
  static Streams* const all = new Streams;
  return *all;
}

CUstream_st* make_stream(int device, bool waits, const std::string& name) {
  Streams& all = streams();
  auto* stream = new CUstream_st;
  stream->device = device;
  stream->component = all.components++;
  stream->waits_for_default = waits;
  stream->name = name + std::to_string(stream->component);
  all.live.insert(stream);
  return stream;
}

CUstream_st* default_stream(int device) {
  CUstream_st*& stream = streams().defaults[device];
  if (!stream) stream = make_stream(device, false, "default stream ");
  return stream;
}

// The default stream waits for the blocking streams of its device, and they for it.
void obey_default(CUstream_st* stream) {
  CUstream_st* const null = default_stream(stream->device);
  if (stream == null) {
    for (CUstream_st* other : streams().live)
      if (other->device == stream->device && other->waits_for_default)
        stream->clock.join(other->clock);
  } else if (stream->waits_for_default) {
    stream->clock.join(null->clock);
  }
}

CUevent_st* find_event(cudaEvent_t event, const char* what) {
  if (streams().events.count(event)) return event;
  report(std::string(what) + ": the event was destroyed or never created");
  return nullptr;
}

}  // namespace

void Clock::join(const Clock& other) {
  if (ticks.size() < other.ticks.size()) ticks.resize(other.ticks.size());
  for (size_t i = 0; i < other.ticks.size(); ++i) ticks[i] = std::max(ticks[i], other.ticks[i]);
}

void Clock::tick(size_t component) {
  if (ticks.size() <= component) ticks.resize(component + 1);
  ++ticks[component];
}

std::mutex& runtime_mutex() {
  return streams().mutex;
}

CUstream_st* find_stream(cudaStream_t stream, const std::string& what) {
  if (!stream || stream == cudaStreamLegacy) return default_stream(current_device());
  if (!streams().live.count(stream)) {
    report(what + ": the stream was destroyed or never created");
    return nullptr;
  }
  return stream;
}

const Clock& host_clock() {
  return streams().host;
}

void host_learns(const Clock& clock) {
  streams().host.join(clock);
  settle_pinned_memory();
}

void host_learns_device(int device) {
  for (const CUstream_st* stream : streams().live)
    if (stream->device == device) streams().host.join(stream->clock);
  settle_pinned_memory();
}

int device_of(cudaStream_t handle) {
  std::lock_guard lock(runtime_mutex());
  const CUstream_st* const stream = find_stream(handle, "the stream's device");
  return stream ? stream->device : -1;
}

cudaError_t enqueue(cudaStream_t handle, const std::string& what,
                    std::span<const Access> accesses) {
  std::lock_guard lock(runtime_mutex());
  CUstream_st* const stream = find_stream(handle, what);
  if (!stream) return cudaErrorInvalidResourceHandle;
  obey_default(stream);
  stream->clock.join(host_clock());
  stream->clock.tick(stream->component);
  for (const Access& access : accesses)
    if (const cudaError_t error = check_access(*stream, what, access); error != cudaSuccess)
      return error;
  return cudaSuccess;
}

}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (!stream || flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
  std::lock_guard lock(runtime_mutex());
  *stream = make_stream(current_device(), flags == cudaStreamDefault, "stream ");
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::lock_guard lock(runtime_mutex());
  if (!stream || !streams().live.erase(stream)) {
    report("cudaStreamDestroy: the stream was destroyed or never created");
    return cudaErrorInvalidResourceHandle;
  }
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  std::lock_guard lock(runtime_mutex());
  CUstream_st* const found = find_stream(stream, "cudaStreamSynchronize");
  if (!found) return cudaErrorInvalidResourceHandle;
  obey_default(found);
  host_learns(found->clock);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return cudaStreamSynchronize(stream);
}

// Nothing is captured: a stream runs what it is given.
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status,
                                     unsigned long long*, cudaGraph_t*, const cudaGraphNode_t**,
                                     const cudaGraphEdgeData**, size_t*) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  std::lock_guard lock(runtime_mutex());
  CUstream_st* const found = find_stream(stream, "cudaStreamWaitEvent");
  CUevent_st* const awaited = find_event(event, "cudaStreamWaitEvent");
  if (!found || !awaited) return cudaErrorInvalidResourceHandle;
  if (flags != cudaEventWaitDefault) return cudaErrorInvalidValue;
  found->clock.join(awaited->clock);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (!event || (flags & ~(cudaEventBlockingSync | cudaEventDisableTiming)) != 0)
    return cudaErrorInvalidValue;
  std::lock_guard lock(runtime_mutex());
  *event = new CUevent_st;
  (*event)->device = current_device();
  (*event)->timed = (flags & cudaEventDisableTiming) == 0;
  streams().events.insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  std::lock_guard lock(runtime_mutex());
  if (!find_event(event, "cudaEventDestroy")) return cudaErrorInvalidResourceHandle;
  streams().events.erase(event);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  std::lock_guard lock(runtime_mutex());
  CUstream_st* const found = find_stream(stream, "cudaEventRecord");
  CUevent_st* const recorded = find_event(event, "cudaEventRecord");
  if (!found || !recorded) return cudaErrorInvalidResourceHandle;
  if (recorded->device != found->device) {
    report("cudaEventRecord: event and stream belong to different devices");
    return cudaErrorInvalidResourceHandle;
  }
  obey_default(found);
  found->clock.join(host_clock());
  recorded->clock = found->clock;
  recorded->recorded = true;
  recorded->queries = 0;
  recorded->when = std::chrono::steady_clock::now();
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::lock_guard lock(runtime_mutex());
  CUevent_st* const found = find_event(event, "cudaEventSynchronize");
  if (!found) return cudaErrorInvalidResourceHandle;
  host_learns(found->clock);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  std::lock_guard lock(runtime_mutex());
  CUevent_st* const found = find_event(event, "cudaEventQuery");
  if (!found) return cudaErrorInvalidResourceHandle;
  if (found->recorded && found->queries++ == 0) return cudaErrorNotReady;
  host_learns(found->clock);
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  std::lock_guard lock(runtime_mutex());
  const CUevent_st* const from = find_event(start, "cudaEventElapsedTime");
  const CUevent_st* const to = find_event(end, "cudaEventElapsedTime");
  if (!ms || !from || !to || !from->timed || !to->timed || !from->recorded || !to->recorded) {
    report("cudaEventElapsedTime: both events must be recorded and have been created with timing");
    return cudaErrorInvalidResourceHandle;
  }
  *ms = std::chrono::duration<float, std::milli>(to->when - from->when).count();
  return cudaSuccess;
}

}  // extern "C"
