// ReLU and GELU with bias: forward row by row, backward in tiles of columns, so that the bias
// gradient (a column sum) falls out of the sweep that writes dz. All arithmetic in float; one
// rounding at each store. Formulas: kernels/formulas.h. Bytes moved: activation.h.
#include "kernels/activation.h"
#include "kernels/column_tile.h"
#include "kernels/formulas.h"
#include "kernels/launch.h"
#include "kernels/map.h"
#include "kernels/rows.h"

namespace ab {
namespace {

// Value: y = f(x), for the storage type T. Gradient: dx = f(dy, saved).
// `x < 0 ? 0 : x` and not max(x, 0): a NaN has to stay visible.
struct Relu {
  template <class T>
  struct Value {
    AB_FN float operator()(float x) const { return x < 0.0f ? 0.0f : x; }
  };
  struct Gradient {
    AB_FN float operator()(float dy, float y) const { return y > 0.0f ? dy : 0.0f; }
  };
};
struct Gelu {
  template <class T>
  struct Value {
    AB_FN float operator()(float z) const { return sizeof(T) == 2 ? gelu_short(z) : gelu(z); }
  };
  struct Gradient {
    AB_FN float operator()(float dy, float z) const { return dy * gelu_slope(z); }
  };
};

template <class T, class Act>
struct BiasForward {
  const T* z;         // (rows, cols)
  const float* bias;  // (cols)
  T* y;               // (rows, cols)
  int64_t rows, cols, rows_per_block;
  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * rows_per_block;
    const int64_t last = first + rows_per_block < rows ? first + rows_per_block : rows;
    const float* b = bias;
    const int64_t stride = cols;
    const T* in = z;
    T* out = y;
    each_row(block, first, last, cols, [=](int64_t r, int64_t c) {
      const int64_t i = r * stride + c;
      store(out + i, typename Act::template Value<T>{}(load(in[i]) + b[c]));
    });
  }
};

template <class T, class Act>
struct BiasBackward {
  const T *dy, *saved;  // (rows, cols)
  T* dz;                // (rows, cols)
  float* partial;       // (chunks, cols)
  ColumnTiling tiling;
  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = tiling.at(block.index());
    const int64_t cols = tiling.cols;
    float* out = partial + t.chunk * cols + t.first_col;
    map_sum<kWideTile>(block, t.first_row, t.last_row, t.width, cols, dz + t.first_col,
                       typename Act::Gradient{}, dy + t.first_col, saved + t.first_col,
                       [=](int c, float total) { out[c] = total; });
  }
};

template <class Act>
void bias_forward(Stream stream, DType dtype, const BiasActivation& a) {
  if (a.rows <= 0 || a.cols <= 0) return;
  const int64_t rows_per_block = a.cols < kFlatChunk ? kFlatChunk / a.cols : 1;
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    const T* z = a.z.as<const T>();
    T* y = a.y.as<T>();
    if (a.bias)
      launch(stream, Grid{ceil_div(a.rows, rows_per_block), 256, 0},
             BiasForward<T, Act>{z, a.bias.as<float>(), y, a.rows, a.cols, rows_per_block});
    else
      launch_map(stream, a.rows * a.cols, y, typename Act::template Value<T>{}, z);
  });
}

template <class Act>
void bias_backward(Stream stream, DType dtype, const BiasActivationGradient& a) {
  const ColumnTiling tiling(a.rows, a.cols, column_chunk(a.rows), column_tile_of(stream));
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    const T *dy = a.dy.as<T>(), *saved = a.saved.as<T>();
    T* dz = a.dz.as<T>();
    if (a.dbias)
      launch(stream, tiling.grid(),
             BiasBackward<T, Act>{dy, saved, dz, a.scratch.as<float>(), tiling});
    else
      launch_map(stream, a.rows * a.cols, dz, typename Act::Gradient{}, dy, saved);
  });
  if (a.dbias) fold_columns(stream, {tiling.chunks, a.cols, a.cols, a.scratch, a.dbias, a.beta});
}

}  // namespace

void relu_forward(Stream stream, DType dtype, int64_t n, DevicePtr y, DevicePtr x) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_map(stream, n, y.as<T>(), Relu::Value<T>{}, x.as<const T>());
  });
}

void gelu_forward(Stream stream, DType dtype, int64_t n, DevicePtr y, DevicePtr z) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_map(stream, n, y.as<T>(), Gelu::Value<T>{}, z.as<const T>());
  });
}

void relu_backward(Stream stream, DType dtype, int64_t n, DevicePtr dx, DevicePtr dy, DevicePtr y) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_map(stream, n, dx.as<T>(), Relu::Gradient{}, dy.as<const T>(), y.as<const T>());
  });
}

void bias_relu_forward(Stream stream, DType dtype, const BiasActivation& arguments) {
  bias_forward<Relu>(stream, dtype, arguments);
}

void relu_backward_bias(Stream stream, DType dtype, const BiasActivationGradient& arguments) {
  bias_backward<Relu>(stream, dtype, arguments);
}

void gelu_backward_bias(Stream stream, DType dtype, const BiasActivationGradient& arguments) {
  bias_backward<Gelu>(stream, dtype, arguments);
}

}  // namespace ab
