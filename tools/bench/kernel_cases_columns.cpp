// Case rows of kernels/columns.h: tall and flat matrices too, since chunks follow from the rows.
#include "kernels/columns.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

KernelCase bias_gradient_row(const CaseShape& shape, DType t, float beta) {
  const int64_t n = shape.elements(), rows = shape.rows, cols = shape.cols;
  KernelCase c;
  c.kernel = "bias_gradient";
  c.shape = shape.text() + (beta == 0.0f ? "" : ", added");
  c.dtype = t;
  c.buffers = {input("dy", n, t), output("dbias", cols, DType::kFloat32, rows, Fill::kNormal),
               scratch(column_scratch_bytes(rows, cols))};
  c.run = [=](Stream s, CasePointers p) {
    bias_gradient(s, t, {rows, cols, p[0], p[1], p[2], beta});
  };
  c.reference = [=](CaseValues& v) {
    for (double& sum : v[1]) sum *= beta;
    for (int64_t i = 0; i < n; ++i) v[1][i % cols] += v[0][i];
  };
  c.bytes = static_cast<double>(n) * size_of(t);
  c.flops = static_cast<double>(n);
  c.benchmark = shape.benchmark && beta == 0.0f;
  return c;
}

}  // namespace

void add_column_cases(CaseList& cases) {
  constexpr CaseShape kTall{65601, 3};  // more than 1024 chunks of 64 rows: longer chunks
  for (const DType dtype : kActivationTypes) {
    for (const CaseShape& shape : kCaseShapes) {
      cases.push_back(bias_gradient_row(shape, dtype, 0.0f));
      cases.push_back(bias_gradient_row(shape, dtype, 1.0f));
    }
    cases.push_back(bias_gradient_row(kTall, dtype, 0.0f));
  }
}

}  // namespace ab
