// The block model: one cooperating team, written once, run on two devices.
//   CUDA: a thread block; strided loops, warp shuffles, shared memory.
//   Host: one thread; f runs in a vectorised loop, and blocks run in parallel over threads.
// A kernel is a struct of pointers and sizes with operator()(const Block&). Every loop body must be
// free of order: f(i) may not read what f(j) writes in the same call. Sums accumulate in float in
// an order fixed by n and the block size alone, so two runs agree to the bit.
#pragma once
#include "kernels/stream.h"

namespace ab {

class Block {
 public:
  AB_FN Block(int64_t index, void* shared) : index_(index), shared_(static_cast<char*>(shared)) {}

  // Position of this team in the launch: [0, blocks).
  AB_FN int64_t index() const { return index_; }

  // f(i) for every i in [0, n); the writes are visible to the whole block afterwards.
  template <class F>
  AB_FN void each(int64_t n, F f) const {
#if defined(__CUDA_ARCH__)
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) f(i);
    __syncthreads();
#else
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) f(i);
#endif
  }

  // f() once, by one thread; visible to the block afterwards.
  template <class F>
  AB_FN void once(F f) const {
#if defined(__CUDA_ARCH__)
    if (threadIdx.x == 0) f();
    __syncthreads();
#else
    f();
#endif
  }

  // Sum of f(i) over [0, n), known to every thread of the block.
  template <class F>
  AB_FN float sum(int64_t n, F f) const {
    float total = 0.0f;
#if defined(__CUDA_ARCH__)
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) total += f(i);
    return fold(total, 0.0f, [](float a, float b) { return a + b; });
#else
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < n; ++i) total += f(i);
    return total;
#endif
  }

  // Largest f(i) over [0, n), at least `floor`, known to every thread of the block.
  template <class F>
  AB_FN float max(int64_t n, float floor, F f) const {
    float best = floor;
#if defined(__CUDA_ARCH__)
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) best = fmaxf(best, f(i));
    return fold(best, floor, [](float a, float b) { return fmaxf(a, b); });
#else
#pragma omp simd reduction(max : best)
    for (int64_t i = 0; i < n; ++i) {
      const float value = f(i);
      best = best > value ? best : value;
    }
    return best;
#endif
  }

  // out(c, total) with total = sum over rows r in [first, last) of f(r, c), for c in [0, columns),
  // columns <= kColumns. Rows are outermost on the host, so that memory is walked along rows; one
  // thread takes a column on CUDA, so that a warp reads neighbours.
  template <int kColumns, class F, class Out>
  AB_FN void column_sum(int64_t first, int64_t last, int columns, F f, Out out) const {
#if defined(__CUDA_ARCH__)
    for (int c = threadIdx.x; c < columns; c += blockDim.x) {
      float total = 0.0f;
      for (int64_t r = first; r < last; ++r) total += f(r, c);
      out(c, total);
    }
    __syncthreads();
#else
    float total[kColumns] = {};
    if (columns == kColumns) {  // a constant trip count keeps the totals in registers
      for (int64_t r = first; r < last; ++r) {
#pragma omp simd
        for (int c = 0; c < kColumns; ++c) total[c] += f(r, c);
      }
    } else {
      for (int64_t r = first; r < last; ++r) {
#pragma omp simd
        for (int c = 0; c < columns; ++c) total[c] += f(r, c);
      }
    }
    for (int c = 0; c < columns; ++c) out(c, total[c]);
#endif
  }

  // The block's scratch memory, as many bytes as the launch asked for; the same for every call.
  template <class T>
  AB_FN T* shared() const {
    return reinterpret_cast<T*>(shared_);
  }

  AB_FN void sync() const {
#if defined(__CUDA_ARCH__)
    __syncthreads();
#endif
  }

 private:
#if defined(__CUDA_ARCH__)
  // Folds one value per thread: within warps by shuffles, then over the warps' results.
  template <class Combine>
  __device__ __forceinline__ static float fold(float value, float neutral, Combine combine) {
    __shared__ float partial[32];
    for (int offset = 16; offset > 0; offset >>= 1)
      value = combine(value, __shfl_xor_sync(~0u, value, offset));
    __syncthreads();
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    const unsigned warps = (blockDim.x + 31) / 32;
    value = threadIdx.x % 32 < warps ? partial[threadIdx.x % 32] : neutral;
    for (int offset = 16; offset > 0; offset >>= 1)
      value = combine(value, __shfl_xor_sync(~0u, value, offset));
    return value;
  }
#endif

  int64_t index_;
  char* shared_;
};

}  // namespace ab
