// Functions of the CUDA runtime that allocate device memory and pinned host memory.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "tests/standin/capture.h"
#include "tests/standin/memory_registry.h"
#include "tests/standin/standin.h"

namespace ab::standin {
namespace {

cudaError_t give(void** address, size_t bytes, int device) {
  Memory& all = memory();
  if (all.used[device] + bytes > all.limit) return cudaErrorMemoryAllocation;
  const size_t room =
      (std::max<size_t>(bytes, 1) + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
  if (all.next + room + 2 * kDeviceAlignment > kRange) all.next = 0;
  const char* const start = reinterpret_cast<const char*>(kBase + all.next + kDeviceAlignment);
  const auto next = all.device.lower_bound(start);
  if (next != all.device.end() && next->first < start + room) return cudaErrorMemoryAllocation;
  all.next += kDeviceAlignment + room;
  all.used[device] += bytes;
  // What was freed where the new memory lies is forgotten.
  const auto above = all.freed.lower_bound(start + room);
  auto below = all.freed.lower_bound(start);
  if (below != all.freed.begin() && std::prev(below)->first + std::prev(below)->second > start)
    --below;
  all.freed.erase(below, above);
  all.device[start] = {bytes, device, {}};
  char* const storage = static_cast<char*>(real_address(start));
  ASAN_POISON_MEMORY_REGION(storage - kDeviceAlignment, kDeviceAlignment);
  ASAN_UNPOISON_MEMORY_REGION(storage, bytes);
  ASAN_POISON_MEMORY_REGION(storage + bytes, room - bytes + kDeviceAlignment);
  fill_bytes(storage, 0xff, bytes);
  *address = const_cast<char*>(start);
  return cudaSuccess;
}

cudaError_t take_back(const void* address, const char* what) {
  Memory& all = memory();
  const char* const start = static_cast<const char*>(address);
  const auto found = all.device.find(start);
  if (found == all.device.end()) {
    report(std::string(what) + ": " + misplaced(start) + ", or not the start of an allocation");
    return cudaErrorInvalidValue;
  }
  const size_t bytes = found->second.bytes;
  all.used[found->second.device] -= bytes;
  all.freed[start] = std::max<size_t>(bytes, 1);
  all.device.erase(found);
  char* const storage = static_cast<char*>(real_address(start));
  ASAN_POISON_MEMORY_REGION(storage, bytes);
  const uintptr_t page = 4096,
                  from = (reinterpret_cast<uintptr_t>(storage) + page - 1) / page * page;
  const uintptr_t to = (reinterpret_cast<uintptr_t>(storage) + bytes) / page * page;
  if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
  return cudaSuccess;
}

}  // namespace

void set_device_memory(size_t bytes) {
  std::lock_guard lock(runtime_mutex());
  memory().limit = bytes;
}

}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cudaError_t cudaMalloc(void** address, size_t bytes) {
  if (!address) return cudaErrorInvalidValue;
  std::lock_guard lock(runtime_mutex());
  if (const cudaError_t error = forbid("cudaMalloc")) return error;
  return give(address, bytes, current_device());
}

// The memory exists from here on in the stream's order: another stream has to wait for it.
cudaError_t cudaMallocAsync(void** address, size_t bytes, cudaStream_t stream) {
  const int device = device_of(stream);
  if (!address || device < 0) return cudaErrorInvalidValue;
  {
    std::lock_guard lock(runtime_mutex());
    if (const auto error = keep_if_captured(*find_stream(stream, __func__), __func__, {}))
      return *error;
    if (const cudaError_t error = give(address, bytes, device); error != cudaSuccess) return error;
  }
  const Access whole{*address, bytes, true};
  return enqueue(stream, "cudaMallocAsync", {&whole, 1});
}

cudaError_t cudaFree(void* address) {
  if (!address) return cudaSuccess;
  std::lock_guard lock(runtime_mutex());
  if (const cudaError_t error = forbid("cudaFree")) return error;
  host_learns_device(current_device());
  return take_back(address, "cudaFree");
}

cudaError_t cudaFreeAsync(void* address, cudaStream_t stream) {
  size_t bytes = 1;
  {
    std::lock_guard lock(runtime_mutex());
    const auto found = memory().device.find(static_cast<const char*>(address));
    if (found != memory().device.end()) bytes = found->second.bytes;
  }
  const Access whole{address, bytes, true};
  const cudaError_t error = enqueue(stream, "cudaFreeAsync", {&whole, 1});
  std::lock_guard lock(runtime_mutex());
  if (CUstream_st* const on = find_stream(stream, "cudaFreeAsync"); on && on->capture) return error;
  const cudaError_t freed = take_back(address, "cudaFreeAsync");
  return error != cudaSuccess ? error : freed;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  std::lock_guard lock(runtime_mutex());
  *total = memory().limit;
  *free = memory().limit - std::min(memory().limit, memory().used[current_device()]);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** address, size_t bytes, unsigned) {
  if (!address) return cudaErrorInvalidValue;
  std::lock_guard lock(runtime_mutex());
  if (const cudaError_t error = forbid("cudaHostAlloc")) return error;
  *address = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + 4096);
  memory().pinned[static_cast<char*>(*address)] = {bytes, -1, {}};
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** address, size_t bytes) {
  return cudaHostAlloc(address, bytes, cudaHostAllocDefault);
}

// Waits for the work under way, as cudaFree does.
cudaError_t cudaFreeHost(void* address) {
  if (!address) return cudaSuccess;
  std::lock_guard lock(runtime_mutex());
  const auto found = memory().pinned.find(static_cast<char*>(address));
  if (found == memory().pinned.end()) {
    report("cudaFreeHost: not the start of pinned memory");
    return cudaErrorInvalidValue;
  }
  if (const cudaError_t error = forbid("cudaFreeHost")) return error;
  for (int device = 0; device < device_count(); ++device) host_learns_device(device);
  memory().pinned.erase(found);
  std::free(address);
  return cudaSuccess;
}

}  // extern "C"
