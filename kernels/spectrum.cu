#include "kernels/column_tile.h"
#include "kernels/launch.h"
#include "kernels/spectrum.h"

namespace ab {
namespace {

AB_FN float magnitude(float value) {
  return value < 0.0f ? -value : value;
}

// One block per tile of columns; a thread keeps its column's sum and peak while it walks the rows.
struct ScanColumns {
  const float* x;   // (rows, cols)
  double* squares;  // (cols)
  float* peaks;     // (cols)
  ColumnTiling tiling;
  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = tiling.at(block.index());
    const float* in = x + t.first_col;
    double* sums = squares + t.first_col;
    float* largest = peaks + t.first_col;
    const int64_t count = tiling.rows, stride = tiling.cols;
    block.each(t.width, [=](int64_t c) {
      double sum = 0.0;
      float peak = 0.0f;
      for (int64_t r = 0; r < count; ++r) {
        const float value = in[r * stride + c];
        sum += static_cast<double>(value) * value;
        peak = magnitude(value) > magnitude(peak) ? value : peak;
      }
      sums[c] = sum;
      largest[c] = peak;
    });
  }
};

// One block per row of y.
struct PickRows {
  const float* x;
  float* y;
  const int32_t* places;
  const float* factors;
  int64_t cols, stride;
  AB_FN void operator()(const Block& block) const {
    const int64_t row = block.index();
    const float factor = factors[row];
    const float* in = x + places[row] * stride;
    float* out = y + row * cols;
    block.each(cols, [=](int64_t j) { out[j] = factor * in[j]; });
  }
};

struct PickColumns {
  const float* x;
  float* y;
  const int32_t* places;
  const float* factors;
  int64_t cols, stride;
  AB_FN void operator()(const Block& block) const {
    const float* in = x + block.index() * stride;
    float* out = y + block.index() * cols;
    const int32_t* at = places;
    const float* by = factors;
    block.each(cols, [=](int64_t c) { out[c] = by[c] * in[at[c]]; });
  }
};

}  // namespace

void scan_columns(Stream stream, int64_t rows, int64_t cols, DevicePtr x, DevicePtr squares,
                  DevicePtr peaks) {
  const ColumnTiling tiling(rows, cols, rows, kColumnTile);
  launch(stream, tiling.grid(),
         ScanColumns{x.as<float>(), squares.as<double>(), peaks.as<float>(), tiling});
}

void pick_rows(Stream stream, const Pick& a) {
  launch(stream, Grid{a.rows, 256, 0},
         PickRows{a.x.as<float>(), a.y.as<float>(), a.places.as<int32_t>(), a.factors.as<float>(),
                  a.cols, a.stride});
}

void pick_columns(Stream stream, const Pick& a) {
  launch(stream, Grid{a.rows, 128, 0},
         PickColumns{a.x.as<float>(), a.y.as<float>(), a.places.as<int32_t>(),
                     a.factors.as<float>(), a.cols, a.stride});
}

}  // namespace ab
