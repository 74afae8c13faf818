// Events of the CUDA runtime (streams.h). An event's first query after a record answers "not
// ready", so that callers' waiting loops run at least once; the time between two is there when the
// host knows that both are over.
#include <algorithm>

#include "tests/standin/capture.h"
#include "tests/standin/handles.h"
#include "tests/standin/standin.h"

namespace ab::standin {
namespace {

std::set<CUevent_st*>& events() {
  static auto* const all = new std::set<CUevent_st*>;
  return *all;
}

}  // namespace

CUevent_st* find_event(cudaEvent_t event, const std::string& what) {
  if (events().count(event)) return event;
  report(what + ": the event was destroyed or never created");
  return nullptr;
}

void record_now(CUstream_st& stream, CUevent_st& event) {
  obey_default(&stream);
  stream.clock.join(host_clock());
  event.clock = stream.clock;
  event.captured.reset();
  event.recorded = true;
  event.queries = 0;
  event.when = stream.busy = std::max(stream.busy, host_seconds());
}

}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  if (const int code = injected(__func__))
    return code < 0 ? cudaSuccess : static_cast<cudaError_t>(code);
  std::lock_guard lock(runtime_mutex());
  CUstream_st* const found = find_stream(stream, "cudaStreamWaitEvent");
  CUevent_st* const awaited = find_event(event, "cudaStreamWaitEvent");
  if (!found || !awaited) return cudaErrorInvalidResourceHandle;
  if (flags != cudaEventWaitDefault) return cudaErrorInvalidValue;
  if (const auto answer = wait_in_capture(*found, *awaited)) return *answer;
  found->clock.join(awaited->clock);
  found->busy = std::max(found->busy, awaited->when);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (!event || (flags & ~(cudaEventBlockingSync | cudaEventDisableTiming)) != 0)
    return cudaErrorInvalidValue;
  std::lock_guard lock(runtime_mutex());
  *event = new CUevent_st;
  (*event)->device = current_device();
  (*event)->timed = (flags & cudaEventDisableTiming) == 0;
  events().insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  std::lock_guard lock(runtime_mutex());
  if (!find_event(event, "cudaEventDestroy")) return cudaErrorInvalidResourceHandle;
  events().erase(event);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  std::lock_guard lock(runtime_mutex());
  CUstream_st* const found = find_stream(stream, "cudaEventRecord");
  CUevent_st* const recorded = find_event(event, "cudaEventRecord");
  if (!found || !recorded) return cudaErrorInvalidResourceHandle;
  if (recorded->device != found->device) {
    report("cudaEventRecord: event and stream belong to different devices");
    return cudaErrorInvalidResourceHandle;
  }
  if (const auto answer = record_in_capture(*found, *recorded, flags)) return *answer;
  record_now(*found, *recorded);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::lock_guard lock(runtime_mutex());
  CUevent_st* const found = find_event(event, "cudaEventSynchronize");
  if (!found) return cudaErrorInvalidResourceHandle;
  if (const cudaError_t error = refuse_captured(*found, "cudaEventSynchronize")) return error;
  if (const cudaError_t error = forbid("cudaEventSynchronize")) return error;
  host_learns(found->clock);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  std::lock_guard lock(runtime_mutex());
  CUevent_st* const found = find_event(event, "cudaEventQuery");
  if (!found) return cudaErrorInvalidResourceHandle;
  if (const cudaError_t error = refuse_captured(*found, "cudaEventQuery")) return error;
  if (const cudaError_t error = forbid("cudaEventQuery")) return error;
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
  for (const CUevent_st* event : {from, to})
    if (const cudaError_t error = refuse_captured(*event, "cudaEventElapsedTime")) return error;
  for (const CUevent_st* event : {from, to})
    for (size_t c = 0; c < event->clock.ticks.size(); ++c)
      if (event->clock.at(c) > host_clock().at(c)) return cudaErrorNotReady;
  *ms = static_cast<float>(1e3 * (to->when - from->when));
  return cudaSuccess;
}

}  // extern "C"
