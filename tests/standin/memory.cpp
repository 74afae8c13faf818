// The registry of allocations (memory.h), and the functions of the CUDA runtime that allocate.
// Each allocation carries the accesses that the host does not know to be over; a new access is
// compared with those that overlap it.
#include "tests/standin/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>

#include "tests/standin/standin.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace ab::standin {
namespace {

constexpr size_t kRange = size_t{64} << 30;
constexpr uintptr_t kBase = 0x3ab300000000;  // its upper half is no number that a kernel carries
constexpr size_t kOffset = kRange;

struct Past {
  const char *first, *last;
  bool write;
  size_t component;
  uint64_t tick;
  std::string what;
};

struct Allocation {
  size_t bytes = 0;
  int device = 0;  // -1: pinned host memory
  std::vector<Past> past;
};

struct Memory {
  std::map<const char*, Allocation> device, pinned;  // live, by first address
  std::map<const char*, size_t> freed;               // device memory
  std::map<int, size_t> used;
  size_t limit = size_t{16} << 30;
  size_t next = 0;

  Memory() {
    void* const outside =
        mmap(reinterpret_cast<void*>(kBase), kRange, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    void* const inside =
        mmap(reinterpret_cast<void*>(kBase + kOffset), kRange, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (outside == MAP_FAILED || inside == MAP_FAILED)
      throw std::runtime_error("standin: no room for the addresses of device memory");
  }
};

Memory& memory() {
  static Memory* const all = new Memory;
  return *all;
}

std::map<const char*, Allocation>::iterator holder(std::map<const char*, Allocation>& all,
                                                   const char* address) {
  auto found = all.upper_bound(address);
  if (found == all.begin()) return all.end();
  --found;
  return address < found->first + std::max<size_t>(found->second.bytes, 1) ? found : all.end();
}

std::string range_text(const char* address, size_t bytes) {
  char text[64];
  std::snprintf(text, sizeof text, "%zu bytes at %p", bytes, static_cast<const void*>(address));
  return text;
}

// Words for an address that lies in no live allocation.
std::string misplaced(const char* address) {
  if (!address) return "a null pointer";
  if (!in_device_range(address)) return "a host pointer where device memory belongs";
  auto freed = memory().freed.upper_bound(address);
  if (freed != memory().freed.begin() && address < (--freed)->first + freed->second)
    return "a freed pointer";
  return "a device address outside every allocation";
}

cudaError_t compare(CUstream_st& stream, const std::string& what, const Access& access,
                    Allocation& allocation) {
  const char* const first = static_cast<const char*>(access.address);
  const char* const last = first + access.bytes;
  cudaError_t result = cudaSuccess;
  std::erase_if(allocation.past, [&](const Past& past) {
    if (past.tick <= host_clock().at(past.component)) return true;
    if (past.last <= first || last <= past.first) return false;
    const bool known = past.tick <= stream.clock.at(past.component);
    if (known) return past.first >= first && past.last <= last && (access.write || !past.write);
    if (!past.write && !access.write) return false;
    report(what + " on " + stream.name + (access.write ? " writes " : " reads ") +
           range_text(first, access.bytes) + " that " + past.what +
           (past.write ? " is writing" : " is reading") + ": no event orders the two");
    result = cudaErrorLaunchFailure;
    return false;
  });
  allocation.past.push_back({first, last, access.write, stream.component,
                             stream.clock.at(stream.component), what + " on " + stream.name});
  return result;
}

bool readable_on_host(const void* address, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  return __asan_region_is_poisoned(const_cast<void*>(address), bytes) == nullptr;
#else
  (void)bytes;
  return address != nullptr;
#endif
}

// While a transfer may be under way, the host must leave its pinned memory alone.
cudaError_t use_pinned(CUstream_st& stream, const std::string& what, const Access& access) {
  const char* const address = static_cast<const char*>(access.address);
  const auto found = holder(memory().pinned, address);
  if (found == memory().pinned.end()) {
    if (readable_on_host(access.address, access.bytes)) return cudaSuccess;
    report(what + ": " + range_text(address, access.bytes) + " passes the end of host memory");
    return cudaErrorInvalidValue;
  }
  if (address + access.bytes > found->first + found->second.bytes) {
    report(what + ": " + range_text(address, access.bytes) + " passes the end of pinned memory");
    return cudaErrorInvalidValue;
  }
  const cudaError_t error = compare(stream, what, access, found->second);
  ASAN_POISON_MEMORY_REGION(address, access.bytes);
  return error;
}

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
  std::erase_if(all.freed, [&](const auto& f) {
    return f.first < start + room && start < f.first + f.second;
  });
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

void* real_address(const void* device_address) {
  char* const address = static_cast<char*>(const_cast<void*>(device_address));
  return in_device_range(address) ? address + kOffset : address;
}

bool in_device_range(const void* address) {
  const auto value = reinterpret_cast<uintptr_t>(address);
  return value >= kBase && value < kBase + kRange;
}

bool is_host_memory(const void* address) {
  const auto value = reinterpret_cast<uintptr_t>(address);
  if (value < (uintptr_t{1} << 32) || value >= (uintptr_t{1} << 47)) return false;
  unsigned char resident = 0;
  return mincore(reinterpret_cast<void*>(value / 4096 * 4096), 4096, &resident) == 0;
}

bool is_pinned(const void* address) {
  std::lock_guard lock(runtime_mutex());
  return holder(memory().pinned, static_cast<const char*>(address)) != memory().pinned.end();
}

const char* end_of_allocation(const void* address, int device, const std::string& what) {
  const char* const at = static_cast<const char*>(address);
  auto found = memory().device.upper_bound(at);
  if (found != memory().device.begin()) {
    --found;
    const char* const end = found->first + found->second.bytes;
    if (at <= end) {  // one past the end may be named, not used
      if (found->second.device == device) return end;
      report(what + ": memory of device " + std::to_string(found->second.device) +
             " on a stream of device " + std::to_string(device));
      return nullptr;
    }
  }
  report(what + ": " + misplaced(at));
  return nullptr;
}

cudaError_t check_access(CUstream_st& stream, const std::string& what, const Access& access) {
  if (access.bytes == 0) return cudaSuccess;
  const char* const address = static_cast<const char*>(access.address);
  if (address && !in_device_range(address)) return use_pinned(stream, what, access);
  const char* const end = end_of_allocation(address, stream.device, what);
  if (!end) return cudaErrorIllegalAddress;
  if (access.bytes > static_cast<size_t>(end - address)) {
    report(what + ": " + range_text(address, access.bytes) +
           " passes the end of its allocation by " +
           std::to_string(access.bytes - static_cast<size_t>(end - address)) + " bytes");
    return cudaErrorIllegalAddress;
  }
  return compare(stream, what, access, holder(memory().device, address)->second);
}

void settle_pinned_memory() {
  for (auto& [start, allocation] : memory().pinned) {
    std::erase_if(allocation.past, [&](const Past& past) {
      if (past.tick > host_clock().at(past.component)) return false;
      ASAN_UNPOISON_MEMORY_REGION(past.first, past.last - past.first);
      return true;
    });
    for (const Past& past : allocation.past)
      ASAN_POISON_MEMORY_REGION(past.first, past.last - past.first);
  }
}

// `rep movsb` and `rep stosb`: no compiler and no sanitizer turns them into a call.
void copy_bytes(void* to, const void* from, size_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

void fill_bytes(void* to, int value, size_t bytes) {
  asm volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
}

}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cudaError_t cudaMalloc(void** address, size_t bytes) {
  if (!address) return cudaErrorInvalidValue;
  std::lock_guard lock(runtime_mutex());
  return give(address, bytes, current_device());
}

// The memory exists from here on in the stream's order: another stream has to wait for it.
cudaError_t cudaMallocAsync(void** address, size_t bytes, cudaStream_t stream) {
  const int device = device_of(stream);
  if (!address || device < 0) return cudaErrorInvalidValue;
  {
    std::lock_guard lock(runtime_mutex());
    if (const cudaError_t error = give(address, bytes, device); error != cudaSuccess) return error;
  }
  const Access whole{*address, bytes, true};
  return enqueue(stream, "cudaMallocAsync", {&whole, 1});
}

cudaError_t cudaFree(void* address) {
  if (!address) return cudaSuccess;
  std::lock_guard lock(runtime_mutex());
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
  *address = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + 4096);
  std::lock_guard lock(runtime_mutex());
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
  for (int device = 0; device < device_count(); ++device) host_learns_device(device);
  memory().pinned.erase(found);
  std::free(address);
  return cudaSuccess;
}

}  // extern "C"
