// Streams of the CUDA runtime (streams.h); each function's rules are those of the runtime's
// reference manual.
#include "tests/standin/streams.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "tests/standin/capture.h"
#include "tests/standin/memory.h"
#include "tests/standin/standin.h"

namespace ab::standin {
namespace {

struct Streams {
  std::mutex mutex;
  std::set<CUstream_st*> live;
  std::map<int, CUstream_st*> defaults;  // by device
  Clock host;
  size_t components = 0;
};

Streams& streams() {
  static Streams* const all = new Streams;
  return *all;
}

CUstream_st* default_stream(int device) {
  CUstream_st*& stream = streams().defaults[device];
  if (!stream) stream = make_stream(device, false, "default stream ");
  return stream;
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

double host_seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
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

cudaError_t submit(cudaStream_t handle, const std::string& what, const Operation& operation) {
  {
    std::lock_guard lock(runtime_mutex());
    CUstream_st* const stream = find_stream(handle, what);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (const auto kept = keep_if_captured(*stream, what, operation)) return *kept;
    if (stream == default_stream(stream->device))
      if (const cudaError_t error = forbid((what + " on the default stream").c_str()))
        return error == cudaErrorStreamCaptureUnsupported ? cudaErrorStreamCaptureImplicit : error;
  }
  return operation ? operation(handle) : enqueue(handle, what, {});
}

cudaError_t enqueue(cudaStream_t handle, const std::string& what,
                    std::span<const Access> accesses) {
  std::lock_guard lock(runtime_mutex());
  CUstream_st* const stream = find_stream(handle, what);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (const auto refused = keep_if_captured(*stream, what, {})) return *refused;
  obey_default(stream);
  stream->clock.join(host_clock());
  stream->clock.tick(stream->component);
  stream->busy = std::max(stream->busy, host_seconds());
  for (const Access& access : accesses)
    if (const cudaError_t error = check_access(*stream, what, access); error != cudaSuccess)
      return error;
  return cudaSuccess;
}

void take_time(cudaStream_t handle, double seconds) {
  std::lock_guard lock(runtime_mutex());
  if (CUstream_st* const stream = find_stream(handle, "a stream's time")) stream->busy += seconds;
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
  if (stream && streams().live.count(stream) && stream->capture)
    return break_capture(*stream->capture, "cudaStreamDestroy of a stream that is being captured",
                         cudaErrorStreamCaptureUnsupported);
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
  if (const cudaError_t error = forbid("cudaStreamSynchronize")) return error;
  obey_default(found);
  host_learns(found->clock);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return cudaStreamSynchronize(stream);
}

}  // extern "C"
