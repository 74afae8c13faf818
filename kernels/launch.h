// Runs a block kernel on a stream: launch(stream, {blocks, threads, shared_bytes}, kernel).
// On the host `threads` is ignored: one block is one thread, blocks are spread over OpenMP threads
// in fixed shares, and since no block reads another's output the bits do not depend on their
// number.
#pragma once
#include <stdexcept>
#include <string>
#if defined(AB_STANDIN)
#include <type_traits>
#include <typeinfo>
#endif

#include "kernels/block.h"
#include "kernels/numbers.h"

namespace ab {

struct Grid {
  int64_t blocks = 1;
  int threads = 256;     // CUDA threads of a block, a multiple of 32
  int shared_bytes = 0;  // at most kMaxSharedBytes
};

constexpr int kMaxSharedBytes = 48 * 1024;

// Elements that one block of a flat element-wise kernel handles.
constexpr int64_t kFlatChunk = 4096;

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

#if defined(__CUDACC__)
template <class Kernel>
__global__ void run_block_kernel(Kernel kernel) {
  extern __shared__ double shared_memory[];  // double: the strictest alignment a kernel asks for
  kernel(Block(static_cast<int64_t>(blockIdx.x), shared_memory));
}
#endif

template <class Kernel>
void launch_host(const Grid& grid, const Kernel& kernel) {
#if defined(_OPENMP)
#pragma omp parallel if (grid.blocks > 1)
#endif
  {
    alignas(64) thread_local char scratch[kMaxSharedBytes];
#if defined(_OPENMP)
#pragma omp for schedule(static)
#endif
    for (int64_t b = 0; b < grid.blocks; ++b) {
      kernel(Block(b, scratch));
      one_by_one();
    }
  }
}

#if defined(AB_STANDIN)
// Tests of the cuda files without a GPU link stand-ins for the vendors' libraries (tests/standin),
// which take a kernel's bytes apart and run it. The one place where the engine knows of them.
struct StandinKernel {
  const char* type;
  char* words;  // the kernel struct; its device addresses are replaced
  size_t bytes;
  void (*run)(const void* words, const Block& block);
};
void launch_standin(Stream stream, const Grid& grid, const StandinKernel& kernel);
#endif

template <class Kernel>
void launch(Stream stream, const Grid& grid, const Kernel& kernel) {
  if (grid.blocks <= 0 || stream.device == DeviceKind::kDry) return;
#if defined(__CUDACC__)
  if (stream.device == DeviceKind::kCuda) {
    run_block_kernel<<<static_cast<unsigned>(grid.blocks), grid.threads, grid.shared_bytes,
                       static_cast<cudaStream_t>(stream.handle)>>>(kernel);
    if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess)
      throw std::runtime_error(std::string("kernel launch failed: ") + cudaGetErrorString(error));
    return;
  }
#elif defined(AB_STANDIN)
  if (stream.device == DeviceKind::kCuda) {
    static_assert(std::is_trivially_copyable_v<Kernel>);
    Kernel copy = kernel;
    __builtin_clear_padding(&copy);
    launch_standin(stream, grid,
                   {typeid(Kernel).name(), reinterpret_cast<char*>(&copy), sizeof copy,
                    [](const void* words, const Block& block) {
                      (*static_cast<const Kernel*>(words))(block);
                    }});
    return;
  }
#endif
  launch_host(grid, kernel);
}

// f(i) for i in [0, n), in flat chunks: the whole of most element-wise kernels. F is a struct with
// AB_FN void operator()(int64_t i) const (a host lambda would not run on a GPU).
template <class F>
struct FlatKernel {
  F f;
  int64_t n;
  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * kFlatChunk;
    const int64_t count = n - first < kFlatChunk ? n - first : kFlatChunk;
    const F body = f;
    block.each(count, [=](int64_t i) { body(first + i); });
  }
};

template <class F>
void launch_flat(Stream stream, int64_t n, F f) {
  launch(stream, Grid{ceil_div(n, kFlatChunk), 256, 0}, FlatKernel<F>{f, n});
}

// Calls f(T{}) with the storage type of an activation: the one place where a dtype becomes a type.
template <class F>
void dispatch(DType dtype, F f) {
  if (dtype == DType::kFloat32)
    f(float{});
  else if (dtype == DType::kBFloat16)
    f(BFloat16{});
  else
    throw std::invalid_argument(std::string("activations are fp32 or bf16, not ") + name_of(dtype));
}

}  // namespace ab
