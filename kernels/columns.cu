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
  ColumnTiling tiling;
  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = tiling.at(block.index());
    const int64_t stride = tiling.cols;
    const T* in = dy + t.first_col;
    float* out = partial + t.chunk * stride + t.first_col;
    block.column_sum<kWideTile>(
        t.first_row, t.last_row, t.width,
        [=](int64_t r, int c) { return load(in[r * stride + c]); },
        [=](int c, float total) { out[c] = total; });
  }
};

struct Fold {
  const float* partial;
  float* out;
  int64_t stride;
  float beta;
  ColumnTiling tiling;
  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = tiling.at(block.index());
    const float* in = partial + t.first_col;
    float* to = out + t.first_col;
    const int64_t step = stride;
    const float keep = beta;
    block.column_sum<kColumnTile>(
        t.first_row, t.last_row, t.width, [=](int64_t r, int c) { return in[r * step + c]; },
        [=](int c, float total) { to[c] = keep == 0.0f ? total : total + keep * to[c]; });
  }
};

}  // namespace

void fold_columns(Stream stream, const ColumnFold& a) {
  const ColumnTiling tiling = fold_tiling(a.chunks, a.cols);
  launch(stream, tiling.grid(),
         Fold{a.partial.as<float>(), a.out.as<float>(), a.stride, a.beta, tiling});
}

void bias_gradient(Stream stream, DType dtype, const BiasGradient& a) {
  const ColumnTiling tiling(a.rows, a.cols, column_chunk(a.rows), column_tile_of(stream));
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, tiling.grid(), PartialSums<T>{a.dy.as<T>(), a.scratch.as<float>(), tiling});
  });
  fold_columns(stream, {tiling.chunks, a.cols, a.cols, a.scratch, a.dbias, a.beta});
}

}  // namespace ab
