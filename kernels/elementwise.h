// Element-wise kernels over flat arrays of n activations (fp32 or bf16); arithmetic in float, one
// rounding on the way out. Arrays may be the same one, but must not overlap otherwise.
// Bytes moved per element of size s: fill s, scale 2s, everything else 3s.
#pragma once
#include "kernels/stream.h"

namespace ab {

// y = value
void fill(Stream stream, DType dtype, int64_t n, DevicePtr y, float value);
// y *= factor
void scale(Stream stream, DType dtype, int64_t n, DevicePtr y, float factor);
// y += x: a later contribution to a gradient
void accumulate(Stream stream, DType dtype, int64_t n, DevicePtr y, DevicePtr x);
// out = a + b
void add(Stream stream, DType dtype, int64_t n, DevicePtr out, DevicePtr a, DevicePtr b);

struct ScaledSum {
  int64_t n = 0;
  DevicePtr y, x;
  float a = 1.0f, b = 1.0f;
};
// y = a * x + b * y: averages (a = 1/n), momentum, axpy (b = 1)
void scaled_sum(Stream stream, DType dtype, const ScaledSum& arguments);

// z (rows, cols) += bias (cols), bias always fp32
void add_bias(Stream stream, DType dtype, int64_t rows, int64_t cols, DevicePtr z, DevicePtr bias);

}  // namespace ab
