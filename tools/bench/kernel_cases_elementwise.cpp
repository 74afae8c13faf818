// Case rows of kernels/elementwise.h.
#include "kernels/elementwise.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

KernelCase row(const std::string& kernel, const CaseShape& shape, DType dtype, int sweeps) {
  KernelCase c;
  c.kernel = kernel;
  c.shape = shape.text();
  c.dtype = dtype;
  c.bytes = static_cast<double>(shape.elements()) * sweeps * size_of(dtype);
  c.flops = static_cast<double>(shape.elements());
  c.benchmark = shape.benchmark;
  return c;
}

void flat_rows(CaseList& cases, const CaseShape& shape, DType t) {
  const int64_t n = shape.elements();
  KernelCase fills = row("fill", shape, t, 1);
  fills.buffers = {output("y", n, t)};
  fills.run = [=](Stream s, CasePointers p) { fill(s, t, n, p[0], -2.5f); };
  fills.reference = [](CaseValues& v) { v[0].assign(v[0].size(), -2.5); };
  cases.push_back(fills);

  KernelCase scales = row("scale", shape, t, 2);
  scales.buffers = {output("y", n, t, 1, Fill::kNormal)};
  scales.run = [=](Stream s, CasePointers p) { scale(s, t, n, p[0], 0.75f); };
  scales.reference = [](CaseValues& v) {
    for (double& y : v[0]) y *= 0.75;
  };
  cases.push_back(scales);

  KernelCase sums = row("accumulate", shape, t, 3);
  sums.buffers = {output("y", n, t, 1, Fill::kNormal), input("x", n, t)};
  sums.run = [=](Stream s, CasePointers p) { accumulate(s, t, n, p[0], p[1]); };
  sums.reference = [](CaseValues& v) {
    for (size_t i = 0; i < v[0].size(); ++i) v[0][i] += v[1][i];
  };
  cases.push_back(sums);

  KernelCase adds = row("add", shape, t, 3);
  adds.buffers = {output("out", n, t), input("a", n, t), input("b", n, t, Fill::kUniform)};
  adds.run = [=](Stream s, CasePointers p) { add(s, t, n, p[0], p[1], p[2]); };
  adds.reference = [](CaseValues& v) {
    for (size_t i = 0; i < v[0].size(); ++i) v[0][i] = v[1][i] + v[2][i];
  };
  cases.push_back(adds);

  KernelCase averages = row("scaled_sum", shape, t, 3);
  averages.buffers = {output("y", n, t, 1, Fill::kNormal), input("x", n, t)};
  averages.run = [=](Stream s, CasePointers p) { scaled_sum(s, t, {n, p[0], p[1], 0.25f, 0.75f}); };
  averages.reference = [](CaseValues& v) {
    for (size_t i = 0; i < v[0].size(); ++i) v[0][i] = 0.25 * v[1][i] + 0.75 * v[0][i];
  };
  cases.push_back(averages);
}

KernelCase bias_row(const CaseShape& shape, DType t) {
  KernelCase c = row("add_bias", shape, t, 2);
  c.buffers = {output("z", shape.elements(), t, 1, Fill::kNormal),
               input("bias", shape.cols, DType::kFloat32)};
  c.run = [=](Stream s, CasePointers p) { add_bias(s, t, shape.rows, shape.cols, p[0], p[1]); };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < shape.elements(); ++i) v[0][i] += v[1][i % shape.cols];
  };
  return c;
}

}  // namespace

void add_elementwise_cases(CaseList& cases) {
  for (const CaseShape& shape : kCaseShapes)
    for (const DType dtype : kActivationTypes) {
      flat_rows(cases, shape, dtype);
      cases.push_back(bias_row(shape, dtype));
    }
}

}  // namespace ab
