// Case rows of kernels/layer_norm.h; the hard input (mean 1000) is where a variance computed as
// E[x^2] - mean^2 in float fails. Parameter gradients are added to what is there for odd shapes.
#include <cmath>

#include "kernels/layer_norm.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

constexpr float kEpsilon = 1e-3f;

struct Statistics {
  double mean, rstd;
};

Statistics statistics_of(const double* x, int64_t cols) {
  double mean = 0.0, variance = 0.0;
  for (int64_t c = 0; c < cols; ++c) mean += x[c] / cols;
  for (int64_t c = 0; c < cols; ++c) variance += (x[c] - mean) * (x[c] - mean) / cols;
  return {mean, 1.0 / std::sqrt(variance + kEpsilon)};
}

// Buffers: x, gamma, beta, y, mean, rstd.
KernelCase forward_row(const CaseShape& shape, DType t, Fill fill) {
  const int64_t n = shape.elements(), rows = shape.rows, cols = shape.cols;
  KernelCase c;
  c.kernel = "layer_norm_forward";
  c.shape = shape.text();
  c.dtype = t;
  c.buffers = {input("x", n, t, fill),
               input("gamma", cols, DType::kFloat32),
               input("beta", cols, DType::kFloat32),
               output("y", n, t, cols),
               output("mean", rows, DType::kFloat32, cols),
               output("rstd", rows, DType::kFloat32, cols)};
  c.run = [=](Stream s, CasePointers p) {
    layer_norm_forward(s, t, {rows, cols, p[0], p[3], p[1], p[2], p[4], p[5], kEpsilon});
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t r = 0; r < rows; ++r) {
      const Statistics row = statistics_of(v[0].data() + r * cols, cols);
      v[4][r] = row.mean;
      v[5][r] = row.rstd;
      for (int64_t col = 0; col < cols; ++col)
        v[3][r * cols + col] = (v[0][r * cols + col] - row.mean) * row.rstd * v[1][col] + v[2][col];
    }
  };
  c.bytes = 2.0 * n * size_of(t);
  c.benchmark = shape.benchmark;
  return c;
}

// Buffers: x, dy, gamma, mean, rstd, dx, dgamma, dbeta, scratch.
void backward_reference(CaseValues& v, int64_t rows, int64_t cols, double keep) {
  for (int64_t col = 0; col < cols; ++col) {
    v[6][col] *= keep;
    v[7][col] *= keep;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const double *x = v[0].data() + r * cols, *dy = v[1].data() + r * cols;
    const double mean = v[3][r], rstd = v[4][r];
    double mean_g = 0.0, mean_gx = 0.0;
    for (int64_t col = 0; col < cols; ++col) {
      const double xhat = (x[col] - mean) * rstd;
      mean_g += dy[col] * v[2][col] / cols;
      mean_gx += dy[col] * v[2][col] * xhat / cols;
      v[6][col] += dy[col] * xhat;
      v[7][col] += dy[col];
    }
    for (int64_t col = 0; col < cols; ++col)
      v[5][r * cols + col] =
          rstd * (dy[col] * v[2][col] - mean_g - (x[col] - mean) * rstd * mean_gx);
  }
}

KernelCase backward_row(const CaseShape& shape, DType t, Fill fill) {
  const int64_t n = shape.elements(), rows = shape.rows, cols = shape.cols;
  const float keep = shape.benchmark ? 0.0f : 1.0f;
  const Fill before =
      Fill::kZero;  // keeps the gradient check exact; `keep` is checked by bias rows
  KernelCase c;
  c.kernel = "layer_norm_backward";
  c.shape = shape.text();
  c.dtype = t;
  c.buffers = {input("x", n, t, fill),
               input("dy", n, t),
               input("gamma", cols, DType::kFloat32),
               input("mean", rows, DType::kFloat32),
               input("rstd", rows, DType::kFloat32),
               output("dx", n, t, cols),
               output("dgamma", cols, DType::kFloat32, rows, before),
               output("dbeta", cols, DType::kFloat32, rows, before),
               scratch(layer_norm_scratch_bytes(rows, cols))};
  c.prepare = [=](CaseValues& v) {
    for (int64_t r = 0; r < rows; ++r) {
      const Statistics row = statistics_of(v[0].data() + r * cols, cols);
      v[3][r] = row.mean;
      v[4][r] = row.rstd;
    }
  };
  c.run = [=](Stream s, CasePointers p) {
    layer_norm_backward(
        s, t, {rows, cols, p[0], p[1], p[5], p[2], p[3], p[4], p[6], p[7], p[8], keep, keep});
  };
  c.reference = [=](CaseValues& v) { backward_reference(v, rows, cols, keep); };
  c.loss = [=](const CaseValues& v) {
    double loss = 0.0;
    for (int64_t r = 0; r < rows; ++r) {
      const Statistics row = statistics_of(v[0].data() + r * cols, cols);
      for (int64_t i = r * cols; i < (r + 1) * cols; ++i)
        loss += v[1][i] * (v[0][i] - row.mean) * row.rstd * v[2][i % cols];
    }
    return loss;
  };
  c.gradients = {{5, 0}, {6, 2}};
  c.bytes = 3.0 * n * size_of(t);
  c.benchmark = shape.benchmark;
  return c;
}

}  // namespace

void add_layer_norm_cases(CaseList& cases) {
  constexpr CaseShape kWide{3, 6145};  // column totals one past the scratch memory
  for (const DType dtype : kActivationTypes) {
    for (const CaseShape& shape : kCaseShapes) {
      cases.push_back(forward_row(shape, dtype, Fill::kNormal));
      cases.push_back(backward_row(shape, dtype, Fill::kNormal));
      if (shape.benchmark) continue;
      cases.push_back(forward_row(shape, dtype, Fill::kHard));
      cases.push_back(backward_row(shape, dtype, Fill::kHard));
    }
    cases.push_back(forward_row(kWide, dtype, Fill::kNormal));
    cases.push_back(backward_row(kWide, dtype, Fill::kNormal));
  }
}

}  // namespace ab
