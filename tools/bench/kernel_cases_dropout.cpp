// Case rows of kernels/dropout.h. Rows are samples; the references draw the same Philox numbers one
// element at a time, with the counters that the header documents.
#include "kernels/dropout.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

constexpr RandomKey kKey{1234, 77};
constexpr int64_t kFirstSample = 1000;
constexpr float kRate = 0.25f;

bool keeps_element(int64_t sample, int64_t element) {
  const Random4 r = philox(dropout_key(kKey), kFirstSample + sample, element / 4);
  const uint32_t words[4] = {r.x, r.y, r.z, r.w};
  return uniform(words[element % 4]) >= kRate;
}

bool keeps_sample(int64_t sample) {
  return uniform(philox(dropout_key(kKey), kFirstSample + sample, 0).x) >= kRate;
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

KernelCase dropout_row(const CaseShape& shape, DType t) {
  const int64_t rows = shape.rows, cols = shape.cols;
  KernelCase c = row("dropout", shape, t, 2);
  c.buffers = {input("x", shape.elements(), t), output("y", shape.elements(), t)};
  c.run = [=](Stream s, CasePointers p) {
    dropout(s, t, {rows, cols, p[0], p[1], kRate, kKey, kFirstSample});
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < rows * cols; ++i)
      v[1][i] = keeps_element(i / cols, i % cols) ? v[0][i] / (1.0 - kRate) : 0.0;
  };
  return c;
}

KernelCase path_row(const CaseShape& shape, DType t, bool forward) {
  const int64_t n = shape.elements(), rows = shape.rows, cols = shape.cols;
  KernelCase c = row(forward ? "drop_path_add" : "drop_path_backward", shape, t, forward ? 3 : 2);
  c.buffers = {input("x", n, t), input("branch", n, t), output("out", n, t)};
  c.run = [=](Stream s, CasePointers p) {
    const DropPath a{rows, cols, p[0], p[1], p[2], kRate, kKey, kFirstSample};
    forward ? drop_path_add(s, t, a) : drop_path_backward(s, t, a);
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < n; ++i)
      v[2][i] =
          (forward ? v[0][i] : 0.0) + (keeps_sample(i / cols) ? v[1][i] / (1.0 - kRate) : 0.0);
  };
  return c;
}

}  // namespace

void add_dropout_cases(CaseList& cases) {
  for (const CaseShape& shape : kCaseShapes)
    for (const DType dtype : kActivationTypes) {
      cases.push_back(dropout_row(shape, dtype));
      cases.push_back(path_row(shape, dtype, true));
      cases.push_back(path_row(shape, dtype, false));
    }
}

}  // namespace ab
