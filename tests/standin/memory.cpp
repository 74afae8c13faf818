// Checks of what operations touch (memory.h). Each allocation carries the accesses that the host
// does not know to be over; a new access is compared with those that overlap it.
#include "tests/standin/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include "tests/standin/memory_registry.h"
#include "tests/standin/standin.h"

namespace ab::standin {
namespace {

std::string range_text(const char* address, size_t bytes) {
  char text[64];
  std::snprintf(text, sizeof text, "%zu bytes at %p", bytes, static_cast<const void*>(address));
  return text;
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

}  // namespace

Memory::Memory() {
  void* const outside =
      mmap(reinterpret_cast<void*>(kBase), kRange, PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  void* const inside =
      mmap(reinterpret_cast<void*>(kBase + kOffset), kRange, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (outside == MAP_FAILED || inside == MAP_FAILED)
    throw std::runtime_error("standin: no room for the addresses of device memory");
}

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

// Words for an address that lies in no live allocation.
std::string misplaced(const char* address) {
  if (!address) return "a null pointer";
  if (!in_device_range(address)) return "a host pointer where device memory belongs";
  auto freed = memory().freed.upper_bound(address);
  if (freed != memory().freed.begin() && address < (--freed)->first + freed->second)
    return "a freed pointer";
  return "a device address outside every allocation";
}

void* real_address(const void* device_address) {
  char* const address = static_cast<char*>(const_cast<void*>(device_address));
  return in_device_range(address) ? address + kOffset : address;
}

bool in_device_range(const void* address) {
  const auto value = reinterpret_cast<uintptr_t>(address);
  return value >= kBase && value < kBase + kRange;
}

// Below lie AddressSanitizer's shadow and pairs of small integers; heap, stack and code lie above.
constexpr uintptr_t kLeastHost = uintptr_t{1} << 45;

bool is_host_memory(const void* address) {
  const auto value = reinterpret_cast<uintptr_t>(address);
  if (value < kLeastHost || value >= (uintptr_t{1} << 47)) return false;
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
