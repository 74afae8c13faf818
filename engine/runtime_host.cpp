// Large blocks come straight from the system in huge pages: they go back when released, so that the
// resident size is the size in use, and a step's slab needs few page-table entries.
#include "engine/runtime_host.h"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "engine/error.h"

namespace ab {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kPage = 4096;
constexpr size_t kAlignment = 64;

size_t rounded(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// Maps one huge page more than needed and gives the unaligned ends back. What is left beyond the
// last whole huge page takes small ones: rounding it up would cost a first step, whose blocks are
// mapped one by one, a fifth of its activations.
void* map_aligned(size_t bytes) {
  const size_t size = rounded(bytes, kPage);
  void* raw =
      mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const auto address = reinterpret_cast<uintptr_t>(raw);
  const size_t head = rounded(address, kHugePage) - address;
  char* start = static_cast<char*>(raw) + head;
  if (head > 0) munmap(raw, head);
  if (head < kHugePage) munmap(start + size, kHugePage - head);
  madvise(start, size, MADV_HUGEPAGE);
  return start;
}

}  // namespace

DevicePtr HostRuntime::allocate(size_t bytes) {
  void* address = bytes >= kHugePage
                      ? map_aligned(bytes)
                      : std::aligned_alloc(kAlignment, rounded(bytes + 1, kAlignment));
  if (address == nullptr)
    throw DeviceError("host memory: " + std::to_string(bytes >> 20) +
                      " MiB could not be had; a smaller data.local_batch needs less");
  return DevicePtr(address);
}

void HostRuntime::release(DevicePtr address, size_t bytes) {
  if (bytes >= kHugePage)
    munmap(address.as<void>(), rounded(bytes, kPage));
  else
    std::free(address.as<void>());
}

void HostRuntime::copy_to_device(Stream, DevicePtr to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to.as<void>(), from, bytes);
}

void HostRuntime::copy_to_host(Stream, void* to, DevicePtr from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from.as<void>(), bytes);
}

void HostRuntime::copy(Stream, DevicePtr to, DevicePtr from, size_t bytes) {
  if (bytes > 0) std::memmove(to.as<void>(), from.as<void>(), bytes);
}

// By all threads, a huge page at a time: fresh memory is mostly the system's own clearing of pages.
void HostRuntime::zero(Stream, DevicePtr to, size_t bytes) {
  char* const start = to.as<char>();
#pragma omp parallel for schedule(static) if (bytes >= 2 * kHugePage)
  for (size_t at = 0; at < bytes; at += kHugePage)
    std::memset(start + at, 0, std::min(kHugePage, bytes - at));
}

std::string host_description() {
  std::string model = "unknown CPU";
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::string extensions;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) extensions = ", avx2";
  if (__builtin_cpu_supports("avx512f")) extensions = ", avx512";
  if (__builtin_cpu_supports("avx512bf16")) extensions += ", bf16";
#endif
  return model + ", " + std::to_string(CPU_COUNT(&allowed)) + " cores" + extensions;
}

}  // namespace ab
