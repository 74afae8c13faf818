// Column sums: out_c = sum over r of dy_rc + beta * out_c; accumulated in float, rows of a chunk in
// order, then chunks in order. Bytes moved: rows * cols * size of an element, plus 2/64 for
// partials.
#include "kernels/column_tile.h"
#include "kernels/columns.h"
#include "kernels/launch.h"

namespace ab {
namespace {

template <class T>
struct PartialSums {
  const T* dy;     // (rows, cols)
  float* partial;  // (chunks, cols)
  int64_t rows, cols, rows_per_chunk;
  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = column_tile(block.index(), rows, cols, rows_per_chunk);
    const T* in = dy + t.first_col;
    float* out = partial + t.chunk * cols + t.first_col;
    const int64_t stride = cols;
    block.column_sum<kColumnTile>(
        t.first_row, t.last_row, t.width,
        [=](int64_t r, int c) { return load(in[r * stride + c]); },
        [=](int c, float total) { out[c] = total; },
        [=](int64_t r, int c, int count) { fetch(in + r * stride + c, count); });
  }
};

struct Fold {
  const float* partial;
  float* out;
  int64_t chunks, cols, stride;
  float beta;
  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = column_tile(block.index(), chunks, cols, chunks);
    const float* in = partial + t.first_col;
    float* to = out + t.first_col;
    const int64_t step = stride;
    const float keep = beta;
    block.column_sum<kColumnTile>(
        0, chunks, t.width, [=](int64_t r, int c) { return in[r * step + c]; },
        [=](int c, float total) { to[c] = keep == 0.0f ? total : total + keep * to[c]; });
  }
};

}  // namespace

void fold_columns(Stream stream, const ColumnFold& a) {
  launch(stream, Grid{column_tiles(a.cols), kColumnTile, 0},
         Fold{a.partial.as<float>(), a.out.as<float>(), a.chunks, a.cols, a.stride, a.beta});
}

void bias_gradient(Stream stream, DType dtype, const BiasGradient& a) {
  const int64_t chunks = column_chunks(a.rows);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(
        stream, Grid{column_tiles(a.cols) * chunks, kColumnTile, 0},
        PartialSums<T>{a.dy.as<T>(), a.scratch.as<float>(), a.rows, a.cols, column_chunk(a.rows)});
  });
  fold_columns(stream, {chunks, a.cols, a.cols, a.scratch, a.dbias, a.beta});
}

}  // namespace ab
