// The rest of the CUDA runtime: devices, errors, copies. A copy names what it reads and writes and
// then happens at once; what the host may rely on afterwards is what the manual says: a copy from
// or to pageable memory is over when the call returns, one from or to pinned memory is not.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/standin/capture.h"
#include "tests/standin/memory.h"
#include "tests/standin/standin.h"

namespace ab::standin {
namespace {

std::atomic<int> devices = 8;
thread_local int device_now = 0;
thread_local cudaError_t last_error = cudaSuccess;

cudaError_t keep(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

bool expects_device(cudaMemcpyKind kind, bool destination) {
  return kind == cudaMemcpyDeviceToDevice ||
         kind == (destination ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost);
}

cudaError_t check_kind(void* to, const void* from, cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault) return cudaSuccess;
  const bool device_to = expects_device(kind, true), device_from = expects_device(kind, false);
  if (in_device_range(to) != device_to || in_device_range(from) != device_from) {
    report(std::string("cudaMemcpy: ") +
           (in_device_range(to) != device_to ? "the destination" : "the source") + " is a " +
           (in_device_range(to) != device_to ? (device_to ? "host" : "device")
                                             : (device_from ? "host" : "device")) +
           " pointer, the kind says otherwise");
    return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}

// Runs what must not become part of a graph.
cudaError_t unkept(cudaStream_t stream, const char* what, const Operation& operation) {
  {
    std::lock_guard lock(runtime_mutex());
    CUstream_st* const found = find_stream(stream, what);
    if (!found) return cudaErrorInvalidResourceHandle;
    if (const auto refused = keep_if_captured(*found, what, {})) return *refused;
  }
  return submit(stream, what, operation);
}

}  // namespace

int device_count() {
  return devices;
}

int current_device() {
  return device_now;
}

void set_device_count(int count) {
  devices = count;
}

}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count();
  return keep(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= device_count()) return keep(cudaErrorInvalidDevice);
  device_now = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = device_now;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= device_count()) return keep(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "stand-in %d", device);
  properties->uuid.bytes[0] = static_cast<char>(device + 1);
  properties->major = 9;
  properties->minor = 0;
  properties->multiProcessorCount = 132;
  size_t free = 0;
  cudaMemGetInfo(&free, &properties->totalGlobalMem);
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device < 0 || device >= device_count()) return keep(cudaErrorInvalidDevice);
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9
           : attribute == cudaDevAttrMultiProcessorCount  ? 132
           : attribute == cudaDevAttrMemoryPoolsSupported ? 1
                                                          : 0;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

// Pools exist in name: the threshold only tells when memory goes back to the system.
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  if (!pool || device < 0 || device >= device_count()) return keep(cudaErrorInvalidDevice);
  *pool = reinterpret_cast<cudaMemPool_t>(static_cast<intptr_t>(device + 1));
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  const auto index = reinterpret_cast<intptr_t>(pool);
  if (index < 1 || index > device_count() || !value || attribute != cudaMemPoolAttrReleaseThreshold)
    return keep(cudaErrorInvalidValue);
  return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) {
  return cudaSuccess;
}

// There is no driver below: cuDNN's headers look for one of its functions when they are loaded, and
// do without.
cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  *function = nullptr;
  *found = cudaDriverEntryPointSymbolNotFound;
  return cudaErrorInvalidValue;
}

cudaError_t cudaDeviceSynchronize() {
  std::lock_guard lock(runtime_mutex());
  if (const cudaError_t error = forbid(__func__)) return keep(error);
  host_learns_device(device_now);
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}

cudaError_t cudaPeekAtLastError() {
  return last_error;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureUnjoined:
      return "cudaErrorStreamCaptureUnjoined";
    default:
      return "unrecognized error code";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  thread_local std::string text;
  text = cudaGetErrorName(error);
  if (error == cudaErrorMemoryAllocation) text = "out of memory";
  if (error == cudaErrorNoDevice) text = "no CUDA-capable device is detected";
  if (error != cudaSuccess && !last_fault().empty()) text += " (" + last_fault() + ")";
  return text.c_str();
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t error = check_kind(to, from, kind); error != cudaSuccess)
    return keep(error);
  const auto pageable = [](const void* address) {
    return !in_device_range(address) && !is_pinned(address);
  };
  const Operation copy = [=](cudaStream_t on) {
    const Access accesses[] = {{from, bytes, false}, {to, bytes, true}};
    if (const cudaError_t error = enqueue(on, "cudaMemcpyAsync", accesses); error != cudaSuccess)
      return error;
    copy_bytes(real_address(to), real_address(from), bytes);
    return pageable(to) ? cudaStreamSynchronize(on) : cudaSuccess;
  };
  // Pageable memory in a graph would be read and written whenever the graph runs.
  if (pageable(to) || pageable(from))
    return keep(unkept(stream, "a copy of pageable memory", copy));
  return keep(submit(stream, "cudaMemcpyAsync", copy));
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return error != cudaSuccess ? error : cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  const Access access{to, bytes, true};
  if (bytes > 0 && !in_device_range(to)) {
    report("cudaMemsetAsync: a host pointer where device memory belongs");
    return keep(cudaErrorInvalidValue);
  }
  return keep(submit(stream, "cudaMemsetAsync", [=](cudaStream_t on) {
    if (const cudaError_t error = enqueue(on, "cudaMemsetAsync", {&access, 1});
        error != cudaSuccess)
      return error;
    fill_bytes(real_address(to), value, bytes);
    return cudaSuccess;
  }));
}

}  // extern "C"
