// ReLU and GELU with bias: forward row by row, backward in tiles of columns, so that the bias
// gradient (a column sum) falls out of the sweep that writes dz. All arithmetic in float; one
// rounding at each store. Formulas: kernels/formulas.h. Bytes moved: activation.h.
#include "kernels/activation.h"
#include "kernels/column_tile.h"
#include "kernels/formulas.h"
#include "kernels/launch.h"
#include "kernels/rows.h"

namespace ab {
namespace {

// `x < 0 ? 0 : x` and not max(x, 0): a NaN has to stay visible.
struct Relu {
  AB_FN static float value(float x) { return x < 0.0f ? 0.0f : x; }
  AB_FN static float gradient(float dy, float y) { return y > 0.0f ? dy : 0.0f; }
};
struct Gelu {
  AB_FN static float value(float x) { return gelu(x); }
  AB_FN static float gradient(float dy, float z) { return dy * gelu_slope(z); }
};

template <class T, class Act>
struct Forward {
  T* y;
  const T* x;
  AB_FN void operator()(int64_t i) const { store(y + i, Act::value(load(x[i]))); }
};

template <class T, class Act>
struct Backward {
  T* dx;
  const T *dy, *saved;
  AB_FN void operator()(int64_t i) const {
    store(dx + i, Act::gradient(load(dy[i]), load(saved[i])));
  }
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
      store(out + i, Act::value(load(in[i]) + b[c]));
    });
  }
};

// Columns of one sweep: with more, the totals and GELU's constants do not fit the CPU's registers.
template <class T>
constexpr int kSweep = 256 / sizeof(T);

template <class T, class Act>
struct BiasBackward {
  const T *dy, *saved;  // (rows, cols)
  T* dz;                // (rows, cols)
  float* partial;       // (chunks, cols)
  int64_t rows, cols, rows_per_chunk;
  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = column_tile(block.index(), rows, cols, rows_per_chunk);
    for (int from = 0; from < t.width; from += kSweep<T>)
      sweep(block, t, t.first_col + from, t.width - from);
  }

  AB_FN void sweep(const Block& block, const ColumnTile& t, int64_t first, int left) const {
    const T *dys = dy + first, *kept = saved + first;
    T* dzs = dz + first;
    float* out = partial + t.chunk * cols + first;
    const int64_t stride = cols;
    block.column_sum<kSweep<T>>(
        t.first_row, t.last_row, left < kSweep<T> ? left : kSweep<T>,
        [=](int64_t r, int c) {
          const int64_t i = r * stride + c;
          const float gradient = Act::gradient(load(dys[i]), load(kept[i]));
          store(dzs + i, gradient);
          return gradient;
        },
        [=](int c, float total) { out[c] = total; });
  }
};

template <class Act>
void bias_forward(Stream stream, DType dtype, const BiasActivation& a) {
  if (a.rows <= 0 || a.cols <= 0) return;
  const int64_t rows_per_block = a.cols < kFlatChunk ? kFlatChunk / a.cols : 1;
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    T *z = a.z.as<T>(), *y = a.y.as<T>();
    if (a.bias)
      launch(stream, Grid{ceil_div(a.rows, rows_per_block), 256, 0},
             BiasForward<T, Act>{z, a.bias.as<float>(), y, a.rows, a.cols, rows_per_block});
    else
      launch_flat(stream, a.rows * a.cols, Forward<T, Act>{y, z});
  });
}

template <class Act>
void bias_backward(Stream stream, DType dtype, const BiasActivationGradient& a) {
  const int64_t chunks = column_chunks(a.rows);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    const T *dy = a.dy.as<T>(), *saved = a.saved.as<T>();
    T* dz = a.dz.as<T>();
    if (a.dbias)
      launch(stream, Grid{column_tiles(a.cols) * chunks, kSweep<T>, 0},
             BiasBackward<T, Act>{dy, saved, dz, a.scratch.as<float>(), a.rows, a.cols,
                                  column_chunk(a.rows)});
    else
      launch_flat(stream, a.rows * a.cols, Backward<T, Act>{dz, dy, saved});
  });
  if (a.dbias) fold_columns(stream, {chunks, a.cols, a.cols, a.scratch, a.dbias, a.beta});
}

}  // namespace

void relu_forward(Stream stream, DType dtype, int64_t n, DevicePtr y, DevicePtr x) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_flat(stream, n, Forward<T, Relu>{y.as<T>(), x.as<T>()});
  });
}

void gelu_forward(Stream stream, DType dtype, int64_t n, DevicePtr y, DevicePtr z) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_flat(stream, n, Forward<T, Gelu>{y.as<T>(), z.as<T>()});
  });
}

void relu_backward(Stream stream, DType dtype, int64_t n, DevicePtr dx, DevicePtr dy, DevicePtr y) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_flat(stream, n, Backward<T, Relu>{dx.as<T>(), dy.as<T>(), y.as<T>()});
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
