// Shared by the two files of batch normalisation: how (rows, C) is cut into blocks, the formula of
// the forward pass, and flags that become template arguments. Private to kernels/.
#pragma once
#include <type_traits>

#include "kernels/launch.h"
#include "kernels/rows.h"

namespace ab {

constexpr int64_t kMinChunkRows = 256;  // 64 KB of a tile: half a megabyte with all its operands
constexpr int64_t kMaxChunks = 512;
constexpr int64_t kApplyElements = 16384;

// How (rows, C) is cut up; a function of the shape alone.
struct Tiling {
  int64_t rows, channels, chunk_rows, chunks, tiles;
  Tiling(int64_t row_count, int64_t channel_count) : rows(row_count), channels(channel_count) {
    const int64_t least = ceil_div(rows, kMaxChunks);
    chunk_rows = least > kMinChunkRows ? least : kMinChunkRows;
    chunks = ceil_div(rows, chunk_rows);
    tiles = ceil_div(channels, kColumnTile);
  }
  AB_FN int64_t first(int64_t chunk) const { return chunk * chunk_rows; }
  AB_FN int64_t last(int64_t chunk) const {
    return first(chunk) + chunk_rows < rows ? first(chunk) + chunk_rows : rows;
  }
  AB_FN int64_t column(int64_t tile) const { return tile * kColumnTile; }
  AB_FN int columns(int64_t tile) const {
    const int64_t left = channels - column(tile);
    return static_cast<int>(left < kColumnTile ? left : kColumnTile);
  }
  // Tiles are innermost, so that a chunk's cache lines are used by neighbours in time.
  Grid grid() const { return {chunks * tiles, kColumnTile, 0}; }
  Grid fold_grid() const { return {tiles, kColumnTile, 0}; }
};

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
