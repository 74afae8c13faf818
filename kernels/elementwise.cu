// Element-wise kernels: y = f(x) with one read of every input and one write of the output.
// Flat ones work in chunks of kFlatChunk elements; add_bias takes whole rows, so that the bias is
// indexed by the loop variable and the loop vectorises. Arithmetic in float, rounded once at the
// store. Bytes moved: see elementwise.h.
#include "kernels/elementwise.h"
#include "kernels/launch.h"
#include "kernels/rows.h"

namespace ab {
namespace {

template <class T>
struct Fill {
  T* y;
  float value;
  AB_FN void operator()(int64_t i) const { store(y + i, value); }
};

template <class T>
struct Scale {
  T* y;
  float factor;
  AB_FN void operator()(int64_t i) const { store(y + i, load(y[i]) * factor); }
};

template <class T>
struct Add {
  T* out;
  const T *a, *b;
  AB_FN void operator()(int64_t i) const { store(out + i, load(a[i]) + load(b[i])); }
};

template <class T>
struct WeightedSum {
  T* y;
  const T* x;
  float a, b;
  AB_FN void operator()(int64_t i) const { store(y + i, a * load(x[i]) + b * load(y[i])); }
};

// A block takes as many whole rows as fit a flat chunk, at least one.
template <class T>
struct AddBias {
  T* z;               // (rows, cols)
  const float* bias;  // (cols)
  int64_t rows, cols, rows_per_block;
  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * rows_per_block;
    const int64_t last = first + rows_per_block < rows ? first + rows_per_block : rows;
    const float* b = bias;
    T* to = z;
    const int64_t stride = cols;
    each_row(block, first, last, cols, [=](int64_t r, int64_t c) {
      T* element = to + r * stride + c;
      store(element, load(*element) + b[c]);
    });
  }
};

}  // namespace

void fill(Stream stream, DType dtype, int64_t n, DevicePtr y, float value) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_flat(stream, n, Fill<T>{y.as<T>(), value});
  });
}

void scale(Stream stream, DType dtype, int64_t n, DevicePtr y, float factor) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_flat(stream, n, Scale<T>{y.as<T>(), factor});
  });
}

void accumulate(Stream stream, DType dtype, int64_t n, DevicePtr y, DevicePtr x) {
  add(stream, dtype, n, y, y, x);
}

void add(Stream stream, DType dtype, int64_t n, DevicePtr out, DevicePtr a, DevicePtr b) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_flat(stream, n, Add<T>{out.as<T>(), a.as<T>(), b.as<T>()});
  });
}

void scaled_sum(Stream stream, DType dtype, const ScaledSum& arguments) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch_flat(stream, arguments.n,
                WeightedSum<T>{arguments.y.as<T>(), arguments.x.as<T>(), arguments.a, arguments.b});
  });
}

void add_bias(Stream stream, DType dtype, int64_t rows, int64_t cols, DevicePtr z, DevicePtr bias) {
  if (rows <= 0 || cols <= 0) return;
  const int64_t rows_per_block = cols < kFlatChunk ? kFlatChunk / cols : 1;
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{ceil_div(rows, rows_per_block), 256, 0},
           AddBias<T>{z.as<T>(), bias.as<float>(), rows, cols, rows_per_block});
  });
}

}  // namespace ab
