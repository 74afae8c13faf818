// Shared by the two files of batch normalisation: how (rows, C) is cut into blocks, the formula of
// the forward pass, and flags that become template arguments. Private to kernels/.
#pragma once
#include <type_traits>

#include "kernels/column_tile.h"
#include "kernels/rows.h"

namespace ab {

constexpr int64_t kMinChunkRows = 256;
constexpr int64_t kMaxChunks = 512;
constexpr int64_t kApplyElements = 16384;

// How (rows, C) is cut up for its sums; chunks are a function of the shape alone.
inline int64_t chunk_rows_of(int64_t rows) {
  const int64_t least = ceil_div(rows, kMaxChunks);
  return least > kMinChunkRows ? least : kMinChunkRows;
}
inline ColumnTiling batch_norm_tiling(Stream stream, int64_t rows, int64_t channels) {
  return {rows, channels, chunk_rows_of(rows), column_tile_of(stream)};
}

AB_FN float normalised(float x, float mean, float rstd, float gamma, float beta) {
  return (x - mean) * (rstd * gamma) + beta;
}

inline int64_t apply_rows(int64_t channels) {
  return channels < kApplyElements ? kApplyElements / channels : 1;
}

template <bool... kFlags, class F>
void with_flags(F f) {
  f(std::bool_constant<kFlags>{}...);
}

// f(first, second) with both flags as compile-time constants.
template <class F>
void choose(bool first, bool second, F f) {
  if (first && second)
    with_flags<true, true>(f);
  else if (first)
    with_flags<true, false>(f);
  else if (second)
    with_flags<false, true>(f);
  else
    with_flags<false, false>(f);
}

}  // namespace ab
