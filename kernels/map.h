// y = f(x, ...) element by element where inputs and output have one storage type.
//   map       y[i] = f(a[i], ...) for i in [0, n)
//   map_sum   the same over rows of columns, with the column sums of y in float
// On the host bf16 values are taken two at a time, as the halves of a 32-bit word: a shift or a
// mask makes a float of one, and a whole vector of words goes back, which widening and narrowing
// single values would double in instructions. Elsewhere these are the loops of block.h. y may be an
// input.
#pragma once
#include "kernels/launch.h"

namespace ab {

// Rounded to bf16 in the upper half, to nearest, ties to even. For what was computed from bf16
// values on the host: a NaN that comes of them has no low bits that rounding could carry into its
// sign, which spares the test that store() makes for it (two fifths of its time).
AB_FN uint32_t rounded_word(float value) {
  const uint32_t bits = bits_of(value);
  return bits + 0x7fffu + ((bits >> 16) & 1u);
}

struct HalfPair {
  float low, high;  // the values at 2 i and 2 i + 1
};
AB_FN HalfPair load_pair(const BFloat16* from) {
  uint32_t word;
  memcpy(&word, from, sizeof word);
  return {float_of(word << 16), float_of(word & 0xffff0000u)};
}
AB_FN void store_pair(BFloat16* to, float low, float high) {
  const uint32_t word = (rounded_word(low) >> 16) | (rounded_word(high) & 0xffff0000u);
  memcpy(to, &word, sizeof word);
}

template <class T, class F, class... In>
AB_FN void map(const Block& block, int64_t n, T* y, F f, const In*... in) {
#if !defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 2) {
    block.each(n / 2, [=](int64_t i) {
      store_pair(y + 2 * i, f(load_pair(in + 2 * i).low...), f(load_pair(in + 2 * i).high...));
    });
    if (n % 2) store(y + n - 1, f(load(in[n - 1])...));
    return;
  }
#endif
  block.each(n, [=](int64_t i) { store(y + i, f(load(in[i])...)); });
}

// Asks for a row's piece of a tile some rows ahead: 256 bytes are too short a run for the processor
// to foresee the next one, and a long formula leaves it no time to wait.
template <class T>
AB_FN void fetch_ahead(const T* row, int64_t stride, int columns) {
  const T* ahead = row + 4 * stride;
  for (int c = 0; c < columns; c += 64 / static_cast<int>(sizeof(T))) __builtin_prefetch(ahead + c);
}

// For r in [first, last) and c in [0, columns), columns <= kColumns, element i = r * stride + c:
// y[i] = f(a[i], b[i]); out(c, total) with the sum over r of f, unrounded.
template <int kColumns, class T, class F, class Out>
AB_FN void map_sum(const Block& block, int64_t first, int64_t last, int columns, int64_t stride,
                   T* y, F f, const T* a, const T* b, Out out) {
#if !defined(__CUDA_ARCH__)
  constexpr int kLanes = sizeof(T) == 2 ? 2 : 1;
  if (columns % kLanes == 0) {
    float totals[kLanes][kColumns / kLanes] = {};
    const int count = columns / kLanes;
    for (int64_t r = first; r < last; ++r) {
      const T *u = a + r * stride, *v = b + r * stride;
      T* to = y + r * stride;
      fetch_ahead(u, stride, columns);
      fetch_ahead(v, stride, columns);
      fetch_ahead(to, stride, columns);
#pragma omp simd
      for (int i = 0; i < count; ++i) {
        if constexpr (kLanes == 2) {
          const HalfPair p = load_pair(u + 2 * i), q = load_pair(v + 2 * i);
          const float even = f(p.low, q.low), odd = f(p.high, q.high);
          store_pair(to + 2 * i, even, odd);
          totals[0][i] += even;
          totals[1][i] += odd;
        } else {
          const float value = f(u[i], v[i]);
          to[i] = value;
          totals[0][i] += value;
        }
      }
    }
    for (int c = 0; c < columns; ++c) out(c, totals[c % kLanes][c / kLanes]);
    return;
  }
#endif
  block.column_sum<kColumns>(
      first, last, columns,
      [=](int64_t r, int c) {
        const int64_t i = r * stride + c;
        const float value = f(load(a[i]), load(b[i]));
        store(y + i, value);
        return value;
      },
      out);
}

// A whole tensor, in flat chunks. F: AB_FN float operator()(float, ...) const.
template <class T, class F>
struct Map1 {
  T* y;
  F f;
  const T* a;
  int64_t n;
  AB_FN void operator()(const Block& block) const {
    const int64_t at = block.index() * kFlatChunk;
    map(block, n - at < kFlatChunk ? n - at : kFlatChunk, y + at, f, a + at);
  }
};
template <class T, class F>
struct Map2 {
  T* y;
  F f;
  const T *a, *b;
  int64_t n;
  AB_FN void operator()(const Block& block) const {
    const int64_t at = block.index() * kFlatChunk;
    map(block, n - at < kFlatChunk ? n - at : kFlatChunk, y + at, f, a + at, b + at);
  }
};

template <class T, class F>
void launch_map(Stream stream, int64_t n, T* y, F f, const T* a) {
  launch(stream, Grid{ceil_div(n, kFlatChunk), 256, 0}, Map1<T, F>{y, f, a, n});
}
template <class T, class F>
void launch_map(Stream stream, int64_t n, T* y, F f, const T* a, const T* b) {
  launch(stream, Grid{ceil_div(n, kFlatChunk), 256, 0}, Map2<T, F>{y, f, a, b, n});
}

}  // namespace ab
