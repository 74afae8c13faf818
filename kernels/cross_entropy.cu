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

template <class T>
struct Forward {
  const T* logits;
  const int32_t* labels;
  float *statistics, *row_loss;
  int64_t cols;
  float smoothing;
  AB_FN void operator()(const Block& block) const {
    const int64_t r = block.index();
    const T* row = logits + r * cols;
    const float top = row_max(block, cols, row);
    const Pair sums = row_sums(block, cols, row, [=](float x) {
      const float below = x - top;
      return Pair{exp_of<T>(below), below};
    });
    const int32_t label = labels[r];
    const bool known = label >= 0 && label < cols;
    const float at_label = known ? load(row[label]) - top : NAN;
    const float log_total = log_float(sums.first);
    const float share = smoothing / static_cast<float>(cols);
    const float smoothed = smoothing == 0.0f ? 0.0f : share * sums.second;  // logits of -infinity
    const float loss = log_total - (1.0f - smoothing) * at_label - smoothed;
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
    launch(stream, Grid{a.rows, row_threads(a.cols), 0},
           Forward<T>{a.logits.as<T>(), a.labels.as<int32_t>(), a.statistics.as<float>(),
                      row_loss.as<float>(), a.cols, a.smoothing});
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
