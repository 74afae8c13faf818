// Batch normalisation, differentiable, over all axes of x but the last.
#pragma once
#include "engine/context.h"

namespace ab {

struct BatchNormParameters {
  Parameter &gamma, &beta;                // (C)
  Parameter &running_mean, &running_var;  // (C), buffers of the store
  float epsilon = 1e-5f, momentum = 0.1f;
};

// y = (x - mean) rstd gamma + beta [+ residual] [then ReLU], x (..., C).
// Training: statistics of the batch (of all replicas where context.statistics is set; they must
// hold equally many rows), and the running ones follow them. Otherwise: the running statistics.
// Gradients of gamma and beta are those of this rank, like every other parameter's.
Tensor batch_norm(Context& context, const Tensor& x, const BatchNormParameters& parameters,
                  bool relu = false, const Tensor* residual = nullptr);

}  // namespace ab
