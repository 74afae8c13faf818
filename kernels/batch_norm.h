// Batch normalisation over the rows of x (rows, C), NHWC images seen as rows = N*H*W.
//   y = (x - mean) * rstd * gamma + beta [+ residual] [then ReLU],  rstd = (var + epsilon)^-1/2
// Source: S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015, Algorithm 1; backward from its
// section 3. x, y, residual and their gradients in dtype, everything per channel in fp32.
// A training step calls statistics, [merge over replicas], finish, apply; then backward_sums,
// [sum over replicas], backward_apply. Inference calls finish with the running variance, then
// apply.
#pragma once
#include "kernels/stream.h"

namespace ab {

// Bytes of `scratch` for batch_norm_statistics and batch_norm_backward_sums.
size_t batch_norm_scratch_bytes(int64_t rows, int64_t channels);

struct BatchNormStatistics {
  DevicePtr x;  // (rows, C)
  int64_t rows = 0, channels = 0;
  DevicePtr scratch;
  DevicePtr mean, m2;  // out (C): mean and sum of (x - mean)^2
};
void batch_norm_statistics(Stream stream, DType dtype, const BatchNormStatistics& args);

// Statistics of replicas with equally many rows, Chan's formula in two halves around two
// all-reduces:
//   mean = mean_sum / replicas,  m2 += rows * (local_mean - mean)^2,  then m2 is summed by the
//   caller.
struct BatchNormMerge {
  DevicePtr local_mean;  // (C)
  DevicePtr mean;        // in: sum of the replicas' means; out: global mean (C)
  DevicePtr m2;          // in/out (C)
  int64_t rows = 0, channels = 0, replicas = 1;
};
void batch_norm_merge(Stream stream, const BatchNormMerge& args);

// rstd from m2 / count, and running += momentum * (batch - running) with the unbiased variance.
struct BatchNormFinish {
  DevicePtr mean, m2;  // (C); mean is read only for the running mean
  int64_t channels = 0;
  int64_t count = 1;  // rows over all replicas; 1 when m2 already is a variance
  float epsilon = 1e-5f, momentum = 0.1f;
  DevicePtr rstd;                       // out (C)
  DevicePtr running_mean, running_var;  // in/out (C), or both null
};
void batch_norm_finish(Stream stream, const BatchNormFinish& args);

struct BatchNormApply {
  DevicePtr x, residual, y;           // (rows, C); residual may be null
  DevicePtr mean, rstd, gamma, beta;  // (C)
  int64_t rows = 0, channels = 0;
  bool relu = false;
};
void batch_norm_apply(Stream stream, DType dtype, const BatchNormApply& args);

// dz = dy, or dy * (y > 0) behind a ReLU. Where there was no residual y may be null: its sign is
// then recomputed from x, which saves a third of the memory traffic.
struct BatchNormGradient {
  DevicePtr x, y, dy;                 // (rows, C)
  DevicePtr mean, rstd, gamma, beta;  // (C)
  int64_t rows = 0, channels = 0;
  bool relu = false;
};

struct BatchNormSums {
  DevicePtr scratch;
  DevicePtr sums;           // out (2, C): sum of dz, sum of dz * xhat
  DevicePtr dgamma, dbeta;  // (C) or null: d = keep * d + sum
  float keep_dgamma = 0.0f, keep_dbeta = 0.0f;
};
void batch_norm_backward_sums(Stream stream, DType dtype, const BatchNormGradient& args,
                              const BatchNormSums& sums);

// dx = gamma rstd (dz - inverse_count (sum_dz + xhat sum_dz_xhat)),  dresidual = dz.
// inverse_count = 1 / (rows * replicas), or 0 where the statistics were constants.
struct BatchNormInput {
  DevicePtr sums;  // (2, C)
  float inverse_count = 0.0f;
  DevicePtr dx, dresidual;  // (rows, C), either may be null
};
void batch_norm_backward_apply(Stream stream, DType dtype, const BatchNormGradient& args,
                               const BatchNormInput& input);

}  // namespace ab
