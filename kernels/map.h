// y = f(x, ...) element by element where inputs and output have one storage type, and passes over
// rows that are summed or held in scratch.
//   map                y[i] = f(a[i], ...) for i in [0, n)
//   map_sum            the same over rows of columns, with the column sums of y in float
//   row_max, row_sum, row_sums   over one row
//   spread, collect    a row into scratch as floats, and back
// On the host bf16 values are taken two at a time, as the halves of a 32-bit word: a shift or a
// mask makes a float of one, and a whole vector of words goes back, which widening and narrowing
// single values would double in instructions. Elsewhere these are the loops of block.h. y may be an
// input.
#pragma once
#include <cmath>

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

// On the host the last elements of a row are a vector like the others, which begins among those
// that have been: rows of a hundred elements would else spend half of their time on the odd ones.
constexpr int64_t kStrip = 32;

// f(i) for i in [0, n), in that way: where it comes twice for an i, it must write the same again.
template <class F>
AB_FN void in_vectors(const Block& block, int64_t n, F f) {
#if !defined(__CUDA_ARCH__)
  constexpr int64_t kVector = 16;
  const int64_t whole = n / kVector * kVector;
  if (n >= kVector) {
    block.each(whole, f);
    if (whole < n) block.each(kVector, [=](int64_t i) { f(n - kVector + i); });
    return;
  }
#endif
  block.each(n, f);
}

template <class T, class F, class... In>
AB_FN void map_strip(const Block& block, int64_t n, T* y, F f, const In*... in) {
  if constexpr (sizeof(T) == 2)
    block.each(n / 2, [=](int64_t i) {
      store_pair(y + 2 * i, f(load_pair(in + 2 * i).low...), f(load_pair(in + 2 * i).high...));
    });
  else
    block.each(n, [=](int64_t i) { store(y + i, f(load(in[i])...)); });
}

template <class T, class F, class... In>
AB_FN void map(const Block& block, int64_t n, T* y, F f, const In*... in) {
#if !defined(__CUDA_ARCH__)
  const int64_t whole = n / kStrip * kStrip;
  if (n >= kStrip) {
    T rest[kStrip];  // before the inputs change, should y be one of them
    if (whole < n) map_strip(block, kStrip, rest, f, in + (n - kStrip)...);
    map_strip(block, whole, y, f, in...);
    if (whole < n) memcpy(y + (n - kStrip), rest, sizeof rest);
    return;
  }
#endif
  block.each(n, [=](int64_t i) { store(y + i, f(load(in[i])...)); });
}

// Largest x[i], at least -infinity, and sum of f(x[i]).
template <class T>
AB_FN float row_max(const Block& block, int64_t n, const T* x) {
#if !defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 2) {
    if (n >= 2) {
      const float odd = n % 2 ? load(x[n - 1]) : -INFINITY;
      const auto order = [=](int64_t i) {
        const HalfPair p = load_pair(x + 2 * i);
        const int32_t low = Block::order_of(p.low), high = Block::order_of(p.high);
        return low > high ? low : high;
      };
      return Block::float_in(block.max_order(n / 2, Block::order_of(odd), order));
    }
  }
#endif
  return block.max(n, -INFINITY, [=](int64_t i) { return load(x[i]); });
}
template <class T, class F>
AB_FN float row_sum(const Block& block, int64_t n, const T* x, F f) {
#if !defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 2) {
    const float odd = n % 2 ? f(load(x[n - 1])) : 0.0f;
    return odd + block.sum(n / 2, [=](int64_t i) {
      const HalfPair p = load_pair(x + 2 * i);
      return f(p.low) + f(p.high);
    });
  }
#endif
  return block.sum(n, [=](int64_t i) { return f(load(x[i])); });
}

// The sums of both halves of f(x[i]), in one pass.
template <class T, class F>
AB_FN Pair row_sums(const Block& block, int64_t n, const T* x, F f) {
#if !defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 2) {
    const Pair odd = n % 2 ? f(load(x[n - 1])) : Pair{0.0f, 0.0f};
    const Pair even = block.sums(n / 2, [=](int64_t i) {
      const HalfPair p = load_pair(x + 2 * i);
      const Pair low = f(p.low), high = f(p.high);
      return Pair{low.first + high.first, low.second + high.second};
    });
    return {odd.first + even.first, odd.second + even.second};
  }
#endif
  return block.sums(n, [=](int64_t i) { return f(load(x[i])); });
}

// A row of values in scratch, as floats, filled up to whole strips. On the host a strip of bf16
// values lies as its even ones and its odd ones, in two halves of the scratch, and the last strip
// of a row begins among those that have been, whose second copies are filling.
AB_FN int64_t spread_size(int64_t n) {
  return (n + kStrip - 1) / kStrip * kStrip;
}
template <class T, class F>
AB_FN void spread(const Block& block, int64_t n, float* to, F f, const T* x, float filling) {
  const int64_t size = spread_size(n);
#if !defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 2)
    if (n >= kStrip) {
      float *even = to, *odd = to + size / 2;
      const int64_t whole = n / kStrip * kStrip;
      block.each(whole / 2, [=](int64_t i) {
        const HalfPair p = load_pair(x + 2 * i);
        even[i] = f(p.low);
        odd[i] = f(p.high);
      });
      if (whole == n) return;
      const int from = static_cast<int>(whole - (n - kStrip));
      block.each(kStrip / 2, [=](int64_t i) {
        const int at = 2 * static_cast<int>(i);
        const HalfPair p = load_pair(x + (n - kStrip) + at);
        even[whole / 2 + i] = at < from ? filling : f(p.low);
        odd[whole / 2 + i] = at + 1 < from ? filling : f(p.high);
      });
      return;
    }
#endif
  block.each(kStrip, [=](int64_t i) { to[size - kStrip + i] = filling; });
  in_vectors(block, n, [=](int64_t i) { to[i] = f(load(x[i])); });
}
// y[i] = f(value i of a spread row).
template <class T, class F>
AB_FN void collect(const Block& block, int64_t n, T* y, F f, const float* from) {
#if !defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 2)
    if (n >= kStrip) {
      const float *even = from, *odd = from + spread_size(n) / 2;
      const auto strips = [=](int64_t slot, T* to, int64_t count) {
        block.each(count,
                   [=](int64_t i) { store_pair(to + 2 * i, f(even[slot + i]), f(odd[slot + i])); });
      };
      const int64_t whole = n / kStrip * kStrip;  // written last, over the filling's place
      if (whole < n) strips(whole / 2, y + (n - kStrip), kStrip / 2);
      strips(0, y, whole / 2);
      return;
    }
#endif
  in_vectors(block, n, [=](int64_t i) { store(y + i, f(from[i])); });
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
      one_by_one();
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
