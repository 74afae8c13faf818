// What the registry of allocations keeps (memory.h); used with runtime_mutex() held.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tests/standin/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace ab::standin {

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

  Memory();
};

Memory& memory();
// The allocation that holds an address, or the end.
std::map<const char*, Allocation>::iterator holder(std::map<const char*, Allocation>& all,
                                                   const char* address);
// Words for an address that lies in no live allocation.
std::string misplaced(const char* address);

}  // namespace ab::standin
