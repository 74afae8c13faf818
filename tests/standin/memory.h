// Device memory, from a range of addresses that no host code can read: the program is handed
// addresses in [base, base + 64 GiB) without access rights, the bytes lie kOffset further on, and
// only the stand-ins translate (real()). So a device address that is dereferenced on the host ends
// in a fault of the processor, as on a machine with a GPU, and a host address that comes where a
// device address belongs is noticed at once. Addresses are not used twice before 64 GiB have gone
// round; freed memory and the gaps between allocations are poisoned for AddressSanitizer; new
// memory holds NaN.
#pragma once
#include <string>

#include "tests/standin/streams.h"

namespace ab::standin {

constexpr size_t kDeviceAlignment = 256;  // what cudaMalloc promises

// Where the bytes of a device address are. Any address of the range is translated, live or not.
void* real_address(const void* device_address);
template <class T>
T* real(T* device_address) {
  return static_cast<T*>(real_address(device_address));
}

bool in_device_range(const void* address);
// True when the address lies in pages that this process has: a host pointer and no number.
bool is_host_memory(const void* address);

// Takes runtime_mutex().
bool is_pinned(const void* address);

// With runtime_mutex() held: `access` must lie in one live allocation of the stream's device and be
// ordered after every conflicting access; it is remembered. Host memory passes unless pinned memory
// is still in use by another stream.
cudaError_t check_access(CUstream_st& stream, const std::string& what, const Access& access);
// With runtime_mutex() held: the end of the live allocation that holds `address`; null and a fault
// when there is none.
const char* end_of_allocation(const void* address, int device, const std::string& what);
// With runtime_mutex() held: pinned memory whose transfers the host now knows may be used again.
void settle_pinned_memory();

// copy() and fill() see neither poison nor interceptors.
void copy_bytes(void* to, const void* from, size_t bytes);
void fill_bytes(void* to, int value, size_t bytes);

}  // namespace ab::standin
