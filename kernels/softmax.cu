// Softmax: largest value of a row, then exp(s (x - max)) into scratch, its sum, and the division.
// The row is read from memory once (later passes hit the cache) and rounded once. Sums in float,
// order fixed by cols. Formulas and bytes moved: softmax.h.
#include "kernels/formulas.h"
#include "kernels/map.h"
#include "kernels/softmax.h"

namespace ab {
namespace {

constexpr int64_t kScratchFloats = kMaxSharedBytes / sizeof(float);

int row_threads(int64_t cols) {
  return cols >= 256 ? 256 : static_cast<int>(ceil_div(cols, 32) * 32);
}

template <class T>
struct Forward {
  // Rows of one block, pass by pass: no row waits for the sum of the one before it.
  static constexpr int kGroup = 8 / sizeof(T);
  const T* x;
  T* y;
  int64_t rows, cols;
  float scale;
  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * kGroup, size = spread_size(cols);
    const int count = static_cast<int>(rows - first < kGroup ? rows - first : kGroup);
    if (kGroup * size > kScratchFloats) {
      for (int r = 0; r < count; ++r) long_row(block, (first + r) * cols);
      return;
    }
    float* e = block.shared<float>();
    float top[kGroup], share[kGroup];
    const float s = scale;
    for (int r = 0; r < count; ++r) top[r] = row_max(block, cols, x + (first + r) * cols);
    for (int r = 0; r < count; ++r) {
      fetch(x + (first + kGroup + r) * cols, cols);
      fetch(y + (first + kGroup + r) * cols, cols);
      spread(
          block, cols, e + r * size, [=, t = top[r]](float v) { return exp_of<T>(v - t, s); },
          x + (first + r) * cols, 0.0f);
    }
    for (int r = 0; r < count; ++r) {
      const float* terms = e + r * size;
      share[r] = 1.0f / block.sum(size, [=](int64_t c) { return terms[c]; });
    }
    for (int r = 0; r < count; ++r)
      collect(
          block, cols, y + (first + r) * cols, [=, p = share[r]](float v) { return v * p; },
          e + r * size);
  }

  // Too long for the scratch: its exponentials are computed twice.
  AB_FN void long_row(const Block& block, int64_t at) const {
    const float s = scale, top = row_max(block, cols, x + at);
    const auto power = [=](float v) { return exp_of<T>(v - top, s); };
    const float share = 1.0f / row_sum(block, cols, x + at, power);
    map(
        block, cols, y + at, [=](float v) { return power(v) * share; }, x + at);
  }
};

template <class T>
struct Backward {
  const T *y, *dy;
  T* dx;
  int64_t cols;
  float scale;
  AB_FN void operator()(const Block& block) const {
    const int64_t at = block.index() * cols;
    const T *p = y + at, *in = dy + at;
    T* out = dx + at;
    const float s = scale;
    const float dot = block.sum(cols, [=](int64_t c) { return load(in[c]) * load(p[c]); });
    map(
        block, cols, out, [=](float y, float dy) { return s * y * (dy - dot); }, p, in);
  }
};

}  // namespace

void softmax_forward(Stream stream, DType dtype, const Softmax& a) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int kGroup = Forward<T>::kGroup;
    const int64_t floats = kGroup * spread_size(a.cols);
    const int scratch = floats <= kScratchFloats ? static_cast<int>(floats * sizeof(float)) : 0;
    launch(stream, Grid{ceil_div(a.rows, kGroup), row_threads(a.cols), scratch},
           Forward<T>{a.x.as<T>(), a.y.as<T>(), a.rows, a.cols, a.scale});
  });
}

void softmax_backward(Stream stream, DType dtype, const SoftmaxGradient& a) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{a.rows, row_threads(a.cols), 0},
           Backward<T>{a.y.as<T>(), a.dy.as<T>(), a.dx.as<T>(), a.cols, a.scale});
  });
}

}  // namespace ab
