// Softmax cross-entropy with label smoothing. With m the largest logit:
//   loss_r = log sum exp(x - m) - (1 - e) (x_label - m) - e / C sum (x - m)
// so that logits of any size keep their precision; the mean over rows is one block's sum, in an
// order that rows alone fix. Accumulation in float. Bytes moved: rows * cols * size, twice in
// backward.
#include "kernels/cross_entropy.h"
#include "kernels/formulas.h"
#include "kernels/map.h"

namespace ab {
namespace {

// Rows of one block, pass by pass: no row waits for the sum of the one before it.
constexpr int kGroup = 4;

template <class T>
struct Forward {
  const T* logits;
  const int32_t* labels;
  float *statistics, *row_loss;
  int64_t rows, cols;
  float smoothing;
  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * kGroup;
    const int count = static_cast<int>(rows - first < kGroup ? rows - first : kGroup);
    const T* group = logits + first * cols;
    float top[kGroup], total[kGroup], below[kGroup];
    for (int r = 0; r < count; ++r) top[r] = row_max(block, cols, group + r * cols);
    fetch(group + kGroup * cols, kGroup * cols);
    for (int r = 0; r < count; ++r)
      total[r] = row_sum(block, cols, group + r * cols,
                         [t = top[r]](float x) { return exp_of<T>(x - t); });
    for (int r = 0; r < count; ++r)
      below[r] = smoothing == 0.0f ? 0.0f
                                   : row_sum(block, cols, group + r * cols,
                                             [t = top[r]](float x) { return x - t; });
    for (int r = 0; r < count; ++r) finish(block, first + r, top[r], total[r], below[r]);
  }

  AB_FN void finish(const Block& block, int64_t r, float top, float total, float below) const {
    const int32_t label = labels[r];
    const bool known = label >= 0 && label < cols;
    const float at_label = known ? load(logits[r * cols + label]) - top : NAN;
    const float log_total = log_float(total);
    const float share = smoothing / static_cast<float>(cols);
    const float loss = log_total - (1.0f - smoothing) * at_label - share * below;
    float *stored = statistics + 2 * r, *out = row_loss + r;
    block.once([=] {
      stored[0] = top;
      stored[1] = log_total;
      *out = loss;
    });
  }
};

struct Mean {
  const float* values;
  float* mean;
  int64_t n;
  AB_FN void operator()(const Block& block) const {
    const float* v = values;
    const float total = block.sum(n, [=](int64_t i) { return v[i]; });
    float* out = mean;
    const float count = static_cast<float>(n);
    block.once([=] { *out = total / count; });
  }
};

template <class T>
struct Backward {
  const T* logits;
  const int32_t* labels;
  const float* statistics;
  T* dlogits;
  int64_t cols;
  float smoothing, scale;
  AB_FN void operator()(const Block& block) const {
    const int64_t r = block.index();
    const T* in = logits + r * cols;
    T* out = dlogits + r * cols;
    const float top = statistics[2 * r], log_total = statistics[2 * r + 1];
    const float share = smoothing / static_cast<float>(cols), hit = 1.0f - smoothing, s = scale;
    const int32_t label = labels[r];
    const bool known = label >= 0 && label < cols;
    const auto gradient = [=](float x) { return exp_of<T>(x - top - log_total) - share; };
    const float at_label = known ? gradient(load(in[label])) - hit : 0.0f;  // dlogits may be logits
    map(
        block, cols, out, [=](float x) { return gradient(x) * s; }, in);
    if (known) block.once([=] { store(out + label, at_label * s); });
  }
};

int row_threads(int64_t cols) {
  return cols >= 256 ? 256 : static_cast<int>(ceil_div(cols, 32) * 32);
}

}  // namespace

void cross_entropy_forward(Stream stream, DType dtype, const CrossEntropy& a, DevicePtr row_loss,
                           DevicePtr loss) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{ceil_div(a.rows, kGroup), row_threads(a.cols), 0},
           Forward<T>{a.logits.as<T>(), a.labels.as<int32_t>(), a.statistics.as<float>(),
                      row_loss.as<float>(), a.rows, a.cols, a.smoothing});
  });
  launch(stream, Grid{1, 256, 0}, Mean{row_loss.as<float>(), loss.as<float>(), a.rows});
}

void cross_entropy_backward(Stream stream, DType dtype, const CrossEntropy& a, DevicePtr dlogits,
                            float dloss) {
  const float scale = dloss / static_cast<float>(a.rows);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{a.rows, row_threads(a.cols), 0},
           Backward<T>{a.logits.as<T>(), a.labels.as<int32_t>(), a.statistics.as<float>(),
                       dlogits.as<T>(), a.cols, a.smoothing, scale});
  });
}

}  // namespace ab
