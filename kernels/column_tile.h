// How blocks share a (rows, cols) matrix whose columns are summed: chunks of rows times tiles of
// kColumnTile columns, tiles innermost, so that neighbouring blocks walk the same rows of memory.
#pragma once
#include "kernels/columns.h"

namespace ab {

constexpr int64_t column_tiles(int64_t cols) {
  return (cols + kColumnTile - 1) / kColumnTile;
}

struct ColumnTile {
  int64_t chunk, first_row, last_row, first_col;
  int width;
};

AB_FN ColumnTile column_tile(int64_t block, int64_t rows, int64_t cols, int64_t rows_per_chunk) {
  const int64_t tiles = (cols + kColumnTile - 1) / kColumnTile;
  ColumnTile t;
  t.chunk = block / tiles;
  t.first_row = t.chunk * rows_per_chunk;
  t.last_row = t.first_row + rows_per_chunk < rows ? t.first_row + rows_per_chunk : rows;
  t.first_col = block % tiles * kColumnTile;
  t.width = static_cast<int>(cols - t.first_col < kColumnTile ? cols - t.first_col : kColumnTile);
  return t;
}

}  // namespace ab
