// ReLU and GELU, alone or with the bias of the layer before them.
//   relu: y = max(x, 0), dx = dy where y > 0;  gelu: y = z Phi(z), dz = dy (Phi(z) + z phi(z))
// Matrices are (rows, cols) activations in `dtype`; bias and its gradient are (cols) fp32.
// Bytes moved per element of size s: relu, gelu and bias_relu 2s, relu_backward 3s, the backward
// sweeps 3s; the bias gradient comes out of the same sweep.
#pragma once
#include "kernels/columns.h"

namespace ab {

void relu_forward(Stream stream, DType dtype, int64_t n, DevicePtr y, DevicePtr x);
void gelu_forward(Stream stream, DType dtype, int64_t n, DevicePtr y, DevicePtr z);
void relu_backward(Stream stream, DType dtype, int64_t n, DevicePtr dx, DevicePtr dy, DevicePtr y);

struct BiasActivation {
  int64_t rows = 0, cols = 0;
  DevicePtr z;     // (rows, cols)
  DevicePtr bias;  // (cols) fp32, or null: no bias
  DevicePtr y;     // (rows, cols)
};
// y = relu(z + bias); y may be z.
void bias_relu_forward(Stream stream, DType dtype, const BiasActivation& arguments);

struct BiasActivationGradient {
  int64_t rows = 0, cols = 0;
  DevicePtr dy;       // (rows, cols)
  DevicePtr saved;    // (rows, cols): y for relu, z (bias and all) for gelu
  DevicePtr dz;       // (rows, cols), may be dy
  DevicePtr dbias;    // (cols) fp32, or null: not wanted
  DevicePtr scratch;  // column_scratch_bytes(rows, cols), unless dbias is null
  float beta = 0.0f;  // dbias = sum over rows of dz + beta * dbias
};
void relu_backward_bias(Stream stream, DType dtype, const BiasActivationGradient& arguments);
void gelu_backward_bias(Stream stream, DType dtype, const BiasActivationGradient& arguments);

}  // namespace ab
