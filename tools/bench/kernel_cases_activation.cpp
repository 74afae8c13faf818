// Case rows of kernels/activation.h. The references use erfc and exp in double.
#include <cmath>

#include "kernels/activation.h"
#include "kernels/numbers.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

double relu_of(double x) {
  return x < 0.0 ? 0.0 : x;
}
double cdf(double x) {
  return 0.5 * std::erfc(-x / std::sqrt(2.0));
}
double gelu_of(double x) {
  return x * cdf(x);
}
double gelu_slope_of(double x) {
  return cdf(x) + x * std::exp(-0.5 * x * x) / std::sqrt(2.0 * M_PI);
}

KernelCase row(const std::string& kernel, const CaseShape& shape, DType dtype, int sweeps) {
  KernelCase c;
  c.kernel = kernel;
  c.shape = shape.text();
  c.dtype = dtype;
  c.bytes = static_cast<double>(shape.elements()) * sweeps * size_of(dtype);
  c.benchmark = shape.benchmark;
  return c;
}

void relu_rows(CaseList& cases, const CaseShape& shape, DType t) {
  const int64_t n = shape.elements();
  KernelCase forward = row("relu_forward", shape, t, 2);
  forward.buffers = {input("x", n, t), output("y", n, t)};
  forward.run = [=](Stream s, CasePointers p) { relu_forward(s, t, n, p[1], p[0]); };
  forward.reference = [](CaseValues& v) {
    for (size_t i = 0; i < v[0].size(); ++i) v[1][i] = relu_of(v[0][i]);
  };
  cases.push_back(forward);

  // relu(relu(x)) = relu(x): the saved y may stand for x in the check of the gradient.
  KernelCase backward = row("relu_backward", shape, t, 3);
  backward.buffers = {input("dy", n, t), input("y", n, t), output("dx", n, t)};
  backward.run = [=](Stream s, CasePointers p) { relu_backward(s, t, n, p[2], p[0], p[1]); };
  backward.reference = [](CaseValues& v) {
    for (size_t i = 0; i < v[0].size(); ++i) v[2][i] = v[1][i] > 0.0 ? v[0][i] : 0.0;
  };
  backward.loss = [](const CaseValues& v) {
    double loss = 0.0;
    for (size_t i = 0; i < v[0].size(); ++i) loss += v[0][i] * relu_of(v[1][i]);
    return loss;
  };
  backward.gradients = {{2, 1}};
  cases.push_back(backward);
}

void forward_rows(CaseList& cases, const CaseShape& shape, DType t) {
  const int64_t n = shape.elements(), rows = shape.rows, cols = shape.cols;
  KernelCase relu = row("bias_relu_forward", shape, t, 2);
  relu.buffers = {output("z", n, t, 1, Fill::kNormal), input("bias", cols, DType::kFloat32)};
  relu.run = [=](Stream s, CasePointers p) {
    bias_relu_forward(s, t, {rows, cols, p[0], p[1], p[0]});
  };
  relu.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < n; ++i) v[0][i] = relu_of(v[0][i] + v[1][i % cols]);
  };
  cases.push_back(relu);

  KernelCase gelu = row("gelu_forward", shape, t, 2);
  gelu.buffers = {input("z", n, t), output("y", n, t)};
  gelu.run = [=](Stream s, CasePointers p) { gelu_forward(s, t, n, p[1], p[0]); };
  gelu.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < n; ++i) v[1][i] = gelu_of(v[0][i]);
  };
  cases.push_back(gelu);
}

// Buffers of the two backward sweeps: dy, saved (for the gradient check: z without a bias), dz,
// dbias.
KernelCase backward_row(const std::string& kernel, const CaseShape& shape, DType t,
                        double (*value)(double), double (*slope)(double)) {
  const int64_t n = shape.elements(), cols = shape.cols;
  KernelCase c = row(kernel, shape, t, 3);
  c.buffers = {input("dy", n, t), input("saved", n, t), output("dz", n, t),
               output("dbias", cols, DType::kFloat32, shape.rows, Fill::kNormal),
               scratch(column_scratch_bytes(shape.rows, cols))};
  c.reference = [=](CaseValues& v) {
    for (double& sum : v[3]) sum *= 0.5;
    for (int64_t i = 0; i < n; ++i) {
      v[2][i] = v[0][i] * slope(v[1][i]);
      v[3][i % cols] += v[2][i];
    }
  };
  c.loss = [=](const CaseValues& v) {
    double loss = 0.0;
    for (int64_t i = 0; i < n; ++i) loss += v[0][i] * value(v[1][i]);
    return loss;
  };
  c.gradients = {{2, 1}};
  return c;
}

double step(double y) {
  return y > 0.0 ? 1.0 : 0.0;
}

}  // namespace

void add_activation_cases(CaseList& cases) {
  for (const CaseShape& shape : kCaseShapes)
    for (const DType t : kActivationTypes) {
      const int64_t rows = shape.rows, cols = shape.cols;
      relu_rows(cases, shape, t);
      forward_rows(cases, shape, t);
      KernelCase relu = backward_row("relu_backward_bias", shape, t, relu_of, step);
      relu.run = [=](Stream s, CasePointers p) {
        relu_backward_bias(s, t, {rows, cols, p[0], p[1], p[2], p[3], p[4], 0.5f});
      };
      cases.push_back(relu);
      KernelCase gelu = backward_row("gelu_backward_bias", shape, t, gelu_of, gelu_slope_of);
      gelu.run = [=](Stream s, CasePointers p) {
        gelu_backward_bias(s, t, {rows, cols, p[0], p[1], p[2], p[3], p[4], 0.5f});
      };
      cases.push_back(gelu);
    }
}

}  // namespace ab
