// Case rows of kernels/spectrum.h. Picked places wrap around, so some repeat and some are left out.
#include <cmath>

#include "kernels/spectrum.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

KernelCase scan_row(const CaseShape& shape) {
  const int64_t rows = shape.rows, cols = shape.cols;
  KernelCase c;
  c.kernel = "scan_columns";
  c.shape = shape.text();
  c.buffers = {input("x", shape.elements(), DType::kFloat32),
               output("squares", cols, DType::kFloat64, rows),
               output("peaks", cols, DType::kFloat32)};
  c.run = [=](Stream s, CasePointers p) { scan_columns(s, rows, cols, p[0], p[1], p[2]); };
  c.reference = [=](CaseValues& v) {
    for (int64_t j = 0; j < cols; ++j) {
      v[1][j] = v[2][j] = 0.0;
      for (int64_t i = 0; i < rows; ++i) {
        const double x = v[0][i * cols + j];
        v[1][j] += x * x;
        if (std::fabs(x) > std::fabs(v[2][j])) v[2][j] = x;
      }
    }
  };
  c.bytes = static_cast<double>(shape.elements()) * sizeof(float);
  c.flops = 2.0 * static_cast<double>(shape.elements());
  c.benchmark = shape.benchmark;
  return c;
}

// Keeps every second row or column, at least one.
KernelCase pick_row(const CaseShape& shape, bool of_rows) {
  const int64_t from = of_rows ? shape.rows : shape.cols, kept = (from + 1) / 2;
  const int64_t rows = of_rows ? kept : shape.rows, cols = of_rows ? shape.cols : kept;
  KernelCase c;
  c.kernel = of_rows ? "pick_rows" : "pick_columns";
  c.shape = shape.text();
  c.buffers = {input("x", shape.elements(), DType::kFloat32), indices("places", kept, from),
               input("factors", kept, DType::kFloat32), output("y", rows * cols, DType::kFloat32)};
  c.run = [=, stride = shape.cols](Stream s, CasePointers p) {
    const Pick pick{rows, cols, stride, p[0], p[3], p[1], p[2]};
    of_rows ? pick_rows(s, pick) : pick_columns(s, pick);
  };
  c.reference = [=, stride = shape.cols](CaseValues& v) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j) {
        const int64_t k = of_rows ? i : j, place = static_cast<int64_t>(v[1][k]);
        v[3][i * cols + j] = v[2][k] * v[0][of_rows ? place * stride + j : i * stride + place];
      }
  };
  c.bytes = 2.0 * static_cast<double>(rows * cols) * sizeof(float);
  c.flops = static_cast<double>(rows * cols);
  c.benchmark = shape.benchmark;
  return c;
}

}  // namespace

void add_spectrum_cases(CaseList& cases) {
  for (const CaseShape& shape : kCaseShapes) {
    cases.push_back(scan_row(shape));
    cases.push_back(pick_row(shape, true));
    cases.push_back(pick_row(shape, false));
  }
}

}  // namespace ab
