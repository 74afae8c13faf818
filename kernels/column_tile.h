// How blocks share a (rows, cols) matrix whose columns are summed: chunks of rows times tiles of
// columns, tiles innermost, so that neighbouring blocks walk the same rows of memory. A column is
// summed row by row in a chunk, then chunk by chunk: the tiles' width does not show in the bits.
#pragma once
#include "kernels/columns.h"
#include "kernels/launch.h"

namespace ab {

struct ColumnTile {
  int64_t chunk, first_row, last_row, first_col;
  int width;
};

struct ColumnTiling {
  int64_t rows, cols, chunk_rows, chunks, tiles;
  int tile;

  ColumnTiling(int64_t row_count, int64_t col_count, int64_t rows_of_a_chunk, int columns)
      : rows(row_count),
        cols(col_count),
        chunk_rows(rows_of_a_chunk),
        chunks(ceil_div(rows, chunk_rows)),
        tiles(ceil_div(cols, columns)),
        tile(columns) {}

  AB_FN int64_t first_row(int64_t chunk) const { return chunk * chunk_rows; }
  AB_FN int64_t last_row(int64_t chunk) const {
    return first_row(chunk) + chunk_rows < rows ? first_row(chunk) + chunk_rows : rows;
  }
  AB_FN ColumnTile at(int64_t block) const {
    const int64_t chunk = block / tiles, first = block % tiles * tile;
    return {chunk, first_row(chunk), last_row(chunk), first,
            static_cast<int>(cols - first < tile ? cols - first : tile)};
  }
  Grid grid() const { return {chunks * tiles, kColumnTile, 0}; }
};

// For few rows, the totals of chunks: narrow tiles, so that threads have something to share.
inline ColumnTiling fold_tiling(int64_t chunks, int64_t cols) {
  return {chunks, cols, chunks, kColumnTile};
}

}  // namespace ab
