// Block kernels on a stream of the CUDA device (kernels/launch.h calls this in a build with
// AB_STANDIN). What a kernel reads and writes is known to itself alone, so:
//   - every 8-byte word of the kernel's struct that is an address of device memory must lie in a
//     live allocation; one that is mapped host memory is a fault;
//   - the words are replaced by where the bytes really are, and the blocks run one after another,
//     with as much shared memory as the launch asked for and no more, holding NaN at first;
//   - what changed behind an address was written, the rest counts as read.
#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "kernels/launch.h"
#include "tests/standin/memory.h"
#include "tests/standin/standin.h"

namespace ab {
namespace {

using namespace standin;

constexpr size_t kWatched = 4096;  // bytes behind an address that are compared

struct Pointer {
  char* address;
  size_t watched;  // up to kWatched, the allocation's end or the next address
  std::vector<char> before;
};

// The part behind an address that changed, or its first byte as read.
Access access_of(const Pointer& pointer) {
  if (pointer.watched == 0) return {};
  const char* const now = real(pointer.address);
  size_t first = 0, last = pointer.watched;
  while (last > 0 && now[last - 1] == pointer.before[last - 1]) --last;
  if (last == 0) return {pointer.address, 1, false};
  while (now[first] == pointer.before[first]) ++first;
  return {pointer.address + first, last - first, true};
}

std::string readable(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  std::string text = status == 0 ? name.get() : mangled;
  for (const char* noise : {"ab::", "(anonymous namespace)::"})
    for (size_t at; (at = text.find(noise)) != std::string::npos;)
      text.erase(at, std::strlen(noise));
  return "kernel " + text;
}

// What stops a launch; leaves this file as the error that launch() throws.
struct Refused {
  cudaError_t error;
};

[[noreturn]] void refuse(cudaError_t error) {
  throw Refused{error};
}

cudaError_t check_grid(const Grid& grid, const std::string& what) {
  const char* wrong = nullptr;
  if (grid.blocks > 0x7fffffff) wrong = "more than 2^31 - 1 blocks";
  if (grid.threads < 32 || grid.threads > 1024 || grid.threads % 32 != 0)
    wrong = "threads must be a multiple of 32, at most 1024";
  if (grid.shared_bytes < 0 || grid.shared_bytes > kMaxSharedBytes)
    wrong = "more shared memory than a block has";
  if (!wrong) return cudaSuccess;
  report(what + ": " + wrong);
  return cudaErrorInvalidConfiguration;
}

// Finds the device addresses among the words of the struct and puts the real ones in their place.
std::vector<Pointer> translate(const StandinKernel& kernel, int device, const std::string& what) {
  std::vector<Pointer> pointers;
  std::lock_guard lock(runtime_mutex());
  for (size_t at = 0; at + sizeof(char*) <= kernel.bytes; at += sizeof(char*)) {
    char* address;
    std::memcpy(&address, kernel.words + at, sizeof address);
    if (!in_device_range(address)) {
      if (!is_host_memory(address)) continue;
      report(what + ": word " + std::to_string(at / sizeof(char*)) +
             " of its arguments is a host pointer where device memory belongs");
      refuse(cudaErrorIllegalAddress);
    }
    const char* const end = end_of_allocation(address, device, what);
    if (!end) refuse(cudaErrorIllegalAddress);
    char* const storage = real(address);
    std::memcpy(kernel.words + at, &storage, sizeof storage);
    pointers.push_back({address, std::min(kWatched, static_cast<size_t>(end - address)), {}});
  }
  std::sort(pointers.begin(), pointers.end(),
            [](const Pointer& a, const Pointer& b) { return a.address < b.address; });
  for (size_t i = 0; i < pointers.size(); ++i) {
    Pointer& pointer = pointers[i];
    for (size_t next = i + 1; next < pointers.size(); ++next) {
      const size_t distance = static_cast<size_t>(pointers[next].address - pointer.address);
      if (distance > 0) pointer.watched = std::min(pointer.watched, distance);
    }
    pointer.before.resize(pointer.watched);
    copy_bytes(pointer.before.data(), real(pointer.address), pointer.watched);
  }
  return pointers;
}

void run_blocks(const Grid& grid, const StandinKernel& kernel) {
  const size_t bytes = static_cast<size_t>(grid.shared_bytes);
  const std::unique_ptr<char, void (*)(void*)> shared(static_cast<char*>(std::malloc(bytes + 1)),
                                                      std::free);
  for (int64_t b = 0; b < grid.blocks; ++b) {
    std::memset(shared.get(), 0xff, bytes);
    kernel.run(kernel.words, Block(b, shared.get()));
  }
}

// A kernel that outlives its launch: a graph runs it again and again.
struct KeptKernel {
  std::string what;
  Grid grid;
  std::vector<char> words;
  void (*run)(const void* words, const Block& block);
};

cudaError_t run_on(cudaStream_t stream, const KeptKernel& kept) {
  try {
    const int device = device_of(stream);
    if (device < 0) return cudaErrorInvalidResourceHandle;
    if (device != current_device()) {
      report(kept.what + ": the stream belongs to device " + std::to_string(device) +
             ", the current device is " + std::to_string(current_device()));
      return cudaErrorInvalidResourceHandle;
    }
    std::vector<char> words = kept.words;
    const StandinKernel kernel{kept.what.c_str(), words.data(), words.size(), kept.run};
    const std::vector<Pointer> pointers = translate(kernel, device, kept.what);
    run_blocks(kept.grid, kernel);
    std::vector<Access> accesses;
    for (const Pointer& pointer : pointers) accesses.push_back(access_of(pointer));
    return enqueue(stream, kept.what, accesses);
  } catch (const Refused& refused) {
    return refused.error;
  }
}

}  // namespace

void launch_standin(Stream stream, const Grid& grid, const StandinKernel& kernel) {
  const KeptKernel kept{
      readable(kernel.type), grid, {kernel.words, kernel.words + kernel.bytes}, kernel.run};
  cudaError_t error = check_grid(grid, kept.what);
  if (error == cudaSuccess)
    error = submit(static_cast<cudaStream_t>(stream.handle), kept.what,
                   [kept](cudaStream_t on) { return run_on(on, kept); });
  if (error != cudaSuccess)
    throw std::runtime_error(std::string("kernel launch failed: ") + cudaGetErrorString(error));
}

}  // namespace ab
