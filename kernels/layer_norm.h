// Layer normalisation over the last axis (Ba et al., 2016):
//   y = xhat gamma + beta,  xhat = (x - mean) rstd,  rstd = 1 / sqrt(variance + epsilon)
//   dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy gamma
//   dgamma = sum over rows of dy xhat,  dbeta = sum over rows of dy
// x, y, dy, dx (rows, cols) in `dtype`; gamma, beta, statistics and parameter gradients fp32;
// variance in two passes; sums in float. Bytes moved per element of size s: forward 2s, backward
// 3s.
#pragma once
#include "kernels/stream.h"

namespace ab {

struct LayerNorm {
  int64_t rows = 0, cols = 0;
  DevicePtr x, y;         // may be the same
  DevicePtr gamma, beta;  // (cols)
  DevicePtr mean, rstd;   // (rows), written
  float epsilon = 1e-6f;
};
void layer_norm_forward(Stream stream, DType dtype, const LayerNorm& arguments);

struct LayerNormGradient {
  int64_t rows = 0, cols = 0;
  DevicePtr x, dy, dx;  // dx may be dy
  DevicePtr gamma, mean, rstd;
  DevicePtr dgamma, dbeta;                        // (cols), or null: not wanted
  DevicePtr scratch;                              // layer_norm_scratch_bytes, unless both are null
  float gamma_factor = 0.0f, beta_factor = 0.0f;  // dgamma = sum + gamma_factor * dgamma, ...
};
size_t layer_norm_scratch_bytes(int64_t rows, int64_t cols);
// dx, dgamma and dbeta in one sweep over x and dy.
void layer_norm_backward(Stream stream, DType dtype, const LayerNormGradient& arguments);

}  // namespace ab
