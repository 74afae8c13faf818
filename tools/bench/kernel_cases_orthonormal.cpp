// Case rows of kernels/orthonormal.h: random rows, at most half as many as columns, are far from
// dependent. Two matrices a row of the table, so that a launch has more than one.
#include <cmath>

#include "kernels/orthonormal.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

void gram_schmidt(double* x, int64_t rows, int64_t cols) {
  const auto dot = [&](int64_t a, int64_t b) {
    double sum = 0.0;
    for (int64_t i = 0; i < cols; ++i) sum += x[a * cols + i] * x[b * cols + i];
    return sum;
  };
  for (int64_t j = 0; j < rows; ++j) {
    for (int64_t k = 0; k < j; ++k) {
      const double part = dot(k, j);
      for (int64_t i = 0; i < cols; ++i) x[j * cols + i] -= part * x[k * cols + i];
    }
    const double length = std::sqrt(dot(j, j));
    for (int64_t i = 0; i < cols; ++i) x[j * cols + i] /= length;
  }
}

KernelCase orthonormal_row(const CaseShape& shape) {
  const int64_t rows = shape.rows, cols = shape.cols;
  KernelCase c;
  c.kernel = "orthonormalise_rows";
  c.shape = "2 x " + shape.text();
  c.buffers = {output("x", 2 * shape.elements(), DType::kFloat32, rows * cols, Fill::kNormal)};
  c.run = [=](Stream s, CasePointers p) {
    const Frame frames[] = {
        {p[0], rows, cols},
        {p[0].plus_bytes(static_cast<size_t>(rows * cols) * sizeof(float)), rows, cols}};
    orthonormalise_rows(s, frames);
  };
  c.reference = [=](CaseValues& v) {
    gram_schmidt(v[0].data(), rows, cols);
    gram_schmidt(v[0].data() + rows * cols, rows, cols);
  };
  c.bytes = 4.0 * static_cast<double>(shape.elements()) * sizeof(float);
  c.flops = 16.0 * static_cast<double>(rows * rows * cols);
  c.benchmark = shape.benchmark;
  return c;
}

}  // namespace

void add_orthonormal_cases(CaseList& cases) {
  for (const CaseShape& shape : {CaseShape{1, 1}, CaseShape{2, 7}, CaseShape{3, 65},
                                 CaseShape{5, 4097}, CaseShape{4, 768, true}})
    cases.push_back(orthonormal_row(shape));
}

}  // namespace ab
