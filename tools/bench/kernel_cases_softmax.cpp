// Case rows of kernels/softmax.h: attention's rows of 197, rows past the scratch, hard input.
#include <algorithm>
#include <cmath>

#include "kernels/softmax.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

constexpr float kScale = 0.125f;  // 1 / sqrt(64): attention with heads of 64

std::vector<double> softmax(const std::vector<double>& x, int64_t cols) {
  std::vector<double> y(x.size());
  for (size_t at = 0; at < x.size(); at += cols) {
    const double top = *std::max_element(x.begin() + at, x.begin() + at + cols);
    double total = 0.0;
    for (int64_t c = 0; c < cols; ++c) total += y[at + c] = std::exp(kScale * (x[at + c] - top));
    for (int64_t c = 0; c < cols; ++c) y[at + c] /= total;
  }
  return y;
}

KernelCase forward_row(const CaseShape& shape, DType t, Fill fill) {
  const int64_t n = shape.elements(), rows = shape.rows, cols = shape.cols;
  KernelCase c;
  c.kernel = "softmax_forward";
  c.shape = shape.text();
  c.dtype = t;
  c.buffers = {input("x", n, t, fill), output("y", n, t, cols)};
  c.run = [=](Stream s, CasePointers p) {
    softmax_forward(s, t, {rows, cols, p[0], p[1], kScale});
  };
  c.reference = [=](CaseValues& v) { v[1] = softmax(v[0], cols); };
  c.bytes = 2.0 * n * size_of(t);
  c.benchmark = shape.benchmark;
  return c;
}

KernelCase backward_row(const CaseShape& shape, DType t) {
  const int64_t n = shape.elements(), rows = shape.rows, cols = shape.cols;
  KernelCase c;
  c.kernel = "softmax_backward";
  c.shape = shape.text();
  c.dtype = t;
  c.buffers = {input("x", n, t), input("y", n, t), input("dy", n, t), output("dx", n, t, cols)};
  c.prepare = [=](CaseValues& v) { v[1] = softmax(v[0], cols); };
  c.run = [=](Stream s, CasePointers p) {
    softmax_backward(s, t, {rows, cols, p[1], p[2], p[3], kScale});
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t at = 0; at < n; at += cols) {
      double dot = 0.0;
      for (int64_t j = at; j < at + cols; ++j) dot += v[1][j] * v[2][j];
      for (int64_t j = at; j < at + cols; ++j) v[3][j] = kScale * v[1][j] * (v[2][j] - dot);
    }
  };
  c.loss = [=](const CaseValues& v) {
    const std::vector<double> y = softmax(v[0], cols);
    double loss = 0.0;
    for (int64_t i = 0; i < n; ++i) loss += v[2][i] * y[i];
    return loss;
  };
  c.gradients = {{3, 0}};
  c.bytes = 3.0 * n * size_of(t);
  c.benchmark = shape.benchmark;
  return c;
}

}  // namespace

void add_softmax_cases(CaseList& cases) {
  constexpr CaseShape kLong{2, 12289};  // one past what the scratch memory holds
  constexpr CaseShape kShapes[] = {{1, 1}, {3, 7}, {31, 17}, {65, 65}, kLong, {6304, 197, true}};
  for (const DType dtype : kActivationTypes)
    for (const CaseShape& shape : kShapes) {
      cases.push_back(forward_row(shape, dtype, Fill::kNormal));
      if (!shape.benchmark) cases.push_back(forward_row(shape, dtype, Fill::kHard));
      cases.push_back(backward_row(shape, dtype));
    }
}

}  // namespace ab
