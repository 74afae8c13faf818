// Case rows of kernels/cross_entropy.h. Buffers: logits, labels, statistics, row losses, loss,
// dlogits.
#include <algorithm>
#include <cmath>

#include "kernels/cross_entropy.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

constexpr float kSmoothing = 0.1f;

struct Row {
  double top, log_total, loss;
};

Row row_of(const double* x, int64_t cols, int64_t label) {
  const double smoothing = kSmoothing;
  Row r{*std::max_element(x, x + cols), 0.0, 0.0};
  double total = 0.0, below = 0.0;
  for (int64_t c = 0; c < cols; ++c) {
    total += std::exp(x[c] - r.top);
    below += x[c] - r.top;
  }
  r.log_total = std::log(total);
  r.loss = r.log_total - (1.0 - smoothing) * (x[label] - r.top) - smoothing / cols * below;
  return r;
}

double mean_loss(const CaseValues& v, int64_t rows, int64_t cols) {
  double sum = 0.0;
  for (int64_t r = 0; r < rows; ++r)
    sum += row_of(v[0].data() + r * cols, cols, static_cast<int64_t>(v[1][r])).loss;
  return sum / rows;
}

KernelCase forward_row(const CaseShape& shape, DType t, Fill fill) {
  const int64_t rows = shape.rows, cols = shape.cols;
  KernelCase c;
  c.kernel = "cross_entropy_forward";
  c.shape = shape.text();
  c.dtype = t;
  c.buffers = {input("logits", shape.elements(), t, fill), indices("labels", rows, cols),
               output("statistics", 2 * rows, DType::kFloat32, cols),
               output("row_loss", rows, DType::kFloat32, cols),
               output("loss", 1, DType::kFloat32, cols)};
  c.run = [=](Stream s, CasePointers p) {
    cross_entropy_forward(s, t, {rows, cols, p[0], p[1], p[2], kSmoothing}, p[3], p[4]);
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t r = 0; r < rows; ++r) {
      const Row row = row_of(v[0].data() + r * cols, cols, static_cast<int64_t>(v[1][r]));
      v[2][2 * r] = row.top;
      v[2][2 * r + 1] = row.log_total;
      v[3][r] = row.loss;
    }
    v[4][0] = mean_loss(v, rows, cols);
  };
  c.bytes = static_cast<double>(shape.elements()) * size_of(t);
  c.benchmark = shape.benchmark;
  return c;
}

KernelCase backward_row(const CaseShape& shape, DType t) {
  const int64_t rows = shape.rows, cols = shape.cols;
  KernelCase c;
  c.kernel = "cross_entropy_backward";
  c.shape = shape.text();
  c.dtype = t;
  c.buffers = {input("logits", shape.elements(), t), indices("labels", rows, cols),
               input("statistics", 2 * rows, DType::kFloat32),
               output("dlogits", shape.elements(), t, cols)};
  c.prepare = [=](CaseValues& v) {
    for (int64_t r = 0; r < rows; ++r) {
      const Row row = row_of(v[0].data() + r * cols, cols, static_cast<int64_t>(v[1][r]));
      v[2][2 * r] = row.top;
      v[2][2 * r + 1] = row.log_total;
    }
  };
  c.run = [=](Stream s, CasePointers p) {
    cross_entropy_backward(s, t, {rows, cols, p[0], p[1], p[2], kSmoothing}, p[3], 1.0f);
  };
  c.reference = [=](CaseValues& v) {
    const double smoothing = kSmoothing;
    for (int64_t i = 0; i < rows * cols; ++i) {
      const int64_t r = i / cols, column = i % cols;
      const double p = std::exp(v[0][i] - v[2][2 * r] - v[2][2 * r + 1]);
      const double hit = column == static_cast<int64_t>(v[1][r]) ? 1.0 - smoothing : 0.0;
      v[3][i] = (p - hit - smoothing / cols) / rows;
    }
  };
  c.loss = [=](const CaseValues& v) { return mean_loss(v, rows, cols); };
  c.gradients = {{3, 0}};
  c.bytes = 2.0 * shape.elements() * size_of(t);
  c.benchmark = shape.benchmark;
  return c;
}

}  // namespace

void add_cross_entropy_cases(CaseList& cases) {
  constexpr CaseShape kShapes[] = {{1, 1},   {1, 10},           {3, 7}, {31, 17}, {65, 65},
                                   {129, 1}, {1024, 1000, true}};
  for (const DType dtype : kActivationTypes)
    for (const CaseShape& shape : kShapes) {
      cases.push_back(forward_row(shape, dtype, Fill::kNormal));
      if (!shape.benchmark) cases.push_back(forward_row(shape, dtype, Fill::kHard));
      cases.push_back(backward_row(shape, dtype));
    }
}

}  // namespace ab
