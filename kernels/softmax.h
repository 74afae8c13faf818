// Softmax over the last axis with a scale, the middle of attention (Vaswani et al., 2017):
//   y_c = exp(s x_c - max) / sum,   dx_c = s y_c (dy_c - sum over j of dy_j y_j)
// Matrices are (rows, cols) activations, for attention (batch * heads * tokens, tokens); sums in
// float. Bytes moved per element of size s: forward 2s, backward 3s.
#pragma once
#include "kernels/stream.h"

namespace ab {

struct Softmax {
  int64_t rows = 0, cols = 0;
  DevicePtr x, y;      // may be the same
  float scale = 1.0f;  // positive
};
void softmax_forward(Stream stream, DType dtype, const Softmax& arguments);

struct SoftmaxGradient {
  int64_t rows = 0, cols = 0;
  DevicePtr y, dy, dx;  // dx may be dy
  float scale = 1.0f;
};
void softmax_backward(Stream stream, DType dtype, const SoftmaxGradient& arguments);

}  // namespace ab
