// The block model: one cooperating team, written once, run on two devices.
//   CUDA: a thread block; strided loops, warp shuffles, shared memory.
//   Host: one thread; f runs in a vectorised loop, and blocks run in parallel over threads.
// A kernel is a struct of pointers and sizes with operator()(const Block&). Every loop body must be
// free of order: f(i) may not read what f(j) writes in the same call. Sums accumulate in float in
// an order fixed by n and the block size alone, so two runs agree to the bit.
#pragma once
#include "kernels/host_hints.h"
#include "kernels/numbers.h"

namespace ab {

struct Pair {
  float first, second;
};

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

  // The same; on the host in strips, with ahead(i, count) before each of them: a few lines fetched
  // at a time do not hold up what is being read, as those of a whole row do.
  template <class F, class Ahead>
  AB_FN void each(int64_t n, F f, Ahead ahead) const {
#if defined(__CUDA_ARCH__)
    (void)ahead;
    each(n, f);
#else
    constexpr int64_t kStrip = 64;
    for (int64_t i = 0; i < n; i += kStrip) {
      const int64_t count = n - i < kStrip ? n - i : kStrip;
      ahead(i, count);
#pragma omp simd
      for (int64_t l = 0; l < count; ++l) f(i + l);
    }
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

  // Sum of f(i) over [0, n), known to every thread of the block. f has no effect: the host
  // may call it twice for an i.
  template <class F>
  AB_FN float sum(int64_t n, F f) const {
    float total = 0.0f;
#if defined(__CUDA_ARCH__)
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) total += f(i);
    return fold(total, 0.0f, [](float a, float b) { return a + b; });
#else
    if (n < kLanes) {
#pragma omp simd reduction(+ : total)
      for (int64_t i = 0; i < n; ++i) total += f(i);
      return total;
    }
    float lane[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
#pragma omp simd
      for (int l = 0; l < kLanes; ++l) lane[l] += f(i + l);
    }
    if (i < n) {  // the rest, in one go with some that have been
      const int done = static_cast<int>(i - (n - kLanes));
#pragma omp simd
      for (int l = 0; l < kLanes; ++l) {
        const float value = f(n - kLanes + l);
        lane[l] += l >= done ? value : 0.0f;
      }
    }
    return folded(lane, [](float a, float b) { return a + b; });
#endif
  }

  // The sums of both halves of f(i), in one pass; f has no effect, as above.
  template <class F>
  AB_FN Pair sums(int64_t n, F f) const {
#if defined(__CUDA_ARCH__)
    Pair total{0.0f, 0.0f};
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      const Pair term = f(i);
      total = {total.first + term.first, total.second + term.second};
    }
    const auto add = [](float a, float b) { return a + b; };
    return {fold(total.first, 0.0f, add), fold(total.second, 0.0f, add)};
#else
    float a[kLanes] = {}, b[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
#pragma omp simd
      for (int l = 0; l < kLanes; ++l) {
        const Pair term = f(i + l);
        a[l] += term.first;
        b[l] += term.second;
      }
    }
    if (n < kLanes) {
      for (; i < n; ++i) {
        const Pair term = f(i);
        a[i] += term.first;
        b[i] += term.second;
      }
    } else if (i < n) {  // as in sum()
      const int done = static_cast<int>(i - (n - kLanes));
#pragma omp simd
      for (int l = 0; l < kLanes; ++l) {
        const Pair term = f(n - kLanes + l);
        a[l] += l >= done ? term.first : 0.0f;
        b[l] += l >= done ? term.second : 0.0f;
      }
    }
    const auto add = [](float x, float y) { return x + y; };
    return {folded(a, add), folded(b, add)};
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
    (void)best;
    return float_in(max_order(n, order_of(floor), [=](int64_t i) { return order_of(f(i)); }));
#endif
  }

  // Floats as integers in the same order: the largest of those costs no mask. A NaN without a sign
  // is above infinity.
  AB_FN static int32_t order_of(float x) {
    const int32_t bits = static_cast<int32_t>(bits_of(x));
    return bits ^ ((bits >> 31) & 0x7fffffff);
  }
  AB_FN static float float_in(int32_t order) {
    return float_of(static_cast<uint32_t>(order ^ ((order >> 31) & 0x7fffffff)));
  }
  template <class F>
  AB_FN int32_t max_order(int64_t n, int32_t least, F f) const {
    int32_t best = least;
    if (n < kLanes) {
#pragma omp simd reduction(max : best)
      for (int64_t i = 0; i < n; ++i) best = best > f(i) ? best : f(i);
      return best;
    }
    int32_t lane[kLanes];
    for (int l = 0; l < kLanes; ++l) lane[l] = least;
    const auto take = [&](int64_t from) {
#pragma omp simd
      for (int l = 0; l < kLanes; ++l) {
        const int32_t order = f(from + l);
        lane[l] = lane[l] > order ? lane[l] : order;
      }
    };
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) take(i);
    if (i < n) take(n - kLanes);
    return folded(lane, [](int32_t a, int32_t b) { return a > b ? a : b; });
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
    for (int64_t r = first; r < last; ++r) {
#pragma omp simd
      for (int c = 0; c < columns; ++c) total[c] += f(r, c);
      one_by_one();
    }
#pragma omp simd
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
  // Running sums and maxima of a row on the host: two vectors of them.
  static constexpr int kLanes = 32;

  // Halves into each other, as one by one would take thirty steps that wait for one another.
  template <class T, class Combine>
  AB_FN static T folded(const T (&lane)[kLanes], Combine combine) {
    T a[16], b[8], c[4];
#pragma omp simd
    for (int l = 0; l < 16; ++l) a[l] = combine(lane[l], lane[l + 16]);
#pragma omp simd
    for (int l = 0; l < 8; ++l) b[l] = combine(a[l], a[l + 8]);
#pragma omp simd
    for (int l = 0; l < 4; ++l) c[l] = combine(b[l], b[l + 4]);
    return combine(combine(c[0], c[2]), combine(c[1], c[3]));
  }

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
