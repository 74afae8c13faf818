// Softmax, one row a block: largest value, then exp(s (x - max)) into scratch with its sum, then
// the division. The row is read from memory once (later passes hit the cache) and rounded once. A
// row too long for the scratch computes its exponentials twice instead. Sums in float, order fixed
// by cols. Formulas and bytes moved: softmax.h.
#include "kernels/formulas.h"
#include "kernels/launch.h"
#include "kernels/softmax.h"

namespace ab {
namespace {

constexpr int64_t kScratchFloats = kMaxSharedBytes / sizeof(float);

AB_FN int64_t padded_cols(int64_t cols) {
  return (cols + 15) / 16 * 16;
}

int row_threads(int64_t cols) {
  return cols >= 256 ? 256 : static_cast<int>(ceil_div(cols, 32) * 32);
}

template <class T>
struct Forward {
  const T* x;
  T* y;
  int64_t cols;
  float scale;
  AB_FN void operator()(const Block& block) const {
    const T* in = x + block.index() * cols;
    T* out = y + block.index() * cols;
    const float s = scale;
    const float top = block.max(cols, -INFINITY, [=](int64_t c) { return load(in[c]); });
    if (cols <= kScratchFloats) {
      // Padded to whole vectors with arguments whose exponential is 0: the host's loop over 197
      // columns would else compute five of them one by one.
      const int64_t padded = padded_cols(cols);
      float* e = block.shared<float>();
      block.each(padded, [=](int64_t c) { e[c] = -200.0f; });
      block.each(cols, [=](int64_t c) { e[c] = s * (load(in[c]) - top); });
      const float total = block.sum(padded, [=](int64_t c) { return e[c] = exp_down(e[c]); });
      const float share = 1.0f / total;
      block.each(cols, [=](int64_t c) { store(out + c, e[c] * share); });
    } else {
      const float total =
          block.sum(cols, [=](int64_t c) { return exp_down(s * (load(in[c]) - top)); });
      const float share = 1.0f / total;
      block.each(cols,
                 [=](int64_t c) { store(out + c, exp_down(s * (load(in[c]) - top)) * share); });
    }
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
    block.each(cols, [=](int64_t c) { store(out + c, s * load(p[c]) * (load(in[c]) - dot)); });
  }
};

}  // namespace

void softmax_forward(Stream stream, DType dtype, const Softmax& a) {
  const int scratch =
      a.cols <= kScratchFloats ? static_cast<int>(padded_cols(a.cols) * sizeof(float)) : 0;
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{a.rows, row_threads(a.cols), scratch},
           Forward<T>{a.x.as<T>(), a.y.as<T>(), a.cols, a.scale});
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
