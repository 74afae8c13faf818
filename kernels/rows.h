// Two loops over (rows, columns) beside those of block.h, with the same rule: no call of f may read
// what another one writes, and sums run in an order fixed by the sizes alone.
//   each_row     f(r, c) for every element of some rows: rows outermost on the host, so that column
//                parameters stay in cache; on CUDA a warp takes neighbouring elements.
//   column_sums  two column sums of one sweep: f(r, c) returns both terms.
#pragma once
#include "kernels/block.h"
#include "kernels/columns.h"

namespace ab {

// f(state, r, c) with state = prepare(r), what the elements of a row have in common: computed once
// a row on the host, where it must not stand in the vectorised loop. (last - first) * columns must
// stay below 2^32.
template <class Prepare, class F>
AB_FN void each_row(const Block& block, int64_t first, int64_t last, int64_t columns,
                    Prepare prepare, F f) {
#if defined(__CUDA_ARCH__)
  const unsigned width = static_cast<unsigned>(columns);
  const unsigned count = static_cast<unsigned>(last - first) * width;
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
    const int64_t r = first + i / width;
    f(prepare(r), r, static_cast<int64_t>(i % width));
  }
  block.sync();
#else
  for (int64_t r = first; r < last; ++r) {
    const auto state = prepare(r);
    block.each(columns, [=](int64_t c) { f(state, r, c); });
  }
#endif
}

template <class F>
AB_FN void each_row(const Block& block, int64_t first, int64_t last, int64_t columns, F f) {
  each_row(
      block, first, last, columns, [](int64_t) { return 0; },
      [=](int, int64_t r, int64_t c) { f(r, c); });
}

// out(c, totals) with totals = sums over rows r in [first, last) of f(r, c), columns <= kWideTile.
template <class F, class Out>
AB_FN void column_sums(const Block& block, int64_t first, int64_t last, int columns, F f, Out out) {
#if defined(__CUDA_ARCH__)
  for (int c = threadIdx.x; c < columns; c += blockDim.x) {
    Pair total{0.0f, 0.0f};
    for (int64_t r = first; r < last; ++r) {
      const Pair term = f(r, c);
      total = {total.first + term.first, total.second + term.second};
    }
    out(c, total);
  }
  block.sync();
#else
  (void)block;
  float a[kWideTile] = {}, b[kWideTile] = {};
  for (int64_t r = first; r < last; ++r) {
#pragma omp simd
    for (int c = 0; c < columns; ++c) {
      const Pair term = f(r, c);
      a[c] += term.first;
      b[c] += term.second;
    }
    one_by_one();
  }
  for (int c = 0; c < columns; ++c) out(c, Pair{a[c], b[c]});
#endif
}

}  // namespace ab
