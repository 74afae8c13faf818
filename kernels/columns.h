// Column sums of a (rows, cols) matrix, the shape of every bias and normalisation gradient.
// Two kernels: partial sums per (chunk of rows, tile of columns), then a fold over the chunks
// in their order. The chunks follow from the number of rows alone, so the bits never depend on
// threads. Scratch: (chunks, cols) fp32, at most rows / 64 * cols: 1/64 of what the sweep itself
// reads.
#pragma once
#include "kernels/stream.h"

namespace ab {

// Columns that one block of a column reduction handles: a thread each on CUDA. The host's memory
// wants to be walked along whole rows (two threads, rows of 256 floats: 32 GB/s, in pieces of 128
// floats 23), up to as many columns as have their totals in the first cache.
constexpr int kColumnTile = 128, kWideTile = 1024;
constexpr int column_tile_of(Stream stream) {
  return stream.device == DeviceKind::kHost ? kWideTile : kColumnTile;
}

// Rows of one chunk: 64, or more where that would give over 1024 chunks.
constexpr int64_t column_chunk(int64_t rows) {
  return rows > 65536 ? (rows + 1023) / 1024 : 64;
}
constexpr int64_t column_chunks(int64_t rows) {
  return (rows + column_chunk(rows) - 1) / column_chunk(rows);
}
// Bytes of the scratch memory that a column sum needs.
constexpr size_t column_scratch_bytes(int64_t rows, int64_t cols) {
  return static_cast<size_t>(column_chunks(rows) * cols) * sizeof(float);
}

struct ColumnFold {
  int64_t chunks = 0, cols = 0;
  int64_t stride = 0;  // floats from one chunk's partials to the next
  DevicePtr partial;   // (chunks, stride) fp32, the first cols of each are folded
  DevicePtr out;       // (cols) fp32
  float beta = 0.0f;   // out = sum + beta * out; 0: out is not read
};
void fold_columns(Stream stream, const ColumnFold& arguments);

struct BiasGradient {
  int64_t rows = 0, cols = 0;
  DevicePtr dy;       // (rows, cols)
  DevicePtr dbias;    // (cols) fp32
  DevicePtr scratch;  // column_scratch_bytes(rows, cols)
  float beta = 0.0f;  // dbias = sum over rows of dy + beta * dbias
};
// Reads dy once: rows * cols * size bytes.
void bias_gradient(Stream stream, DType dtype, const BiasGradient& arguments);

}  // namespace ab
