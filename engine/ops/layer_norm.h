// Layer normalisation over the last axis (kernels/layer_norm.h); keeps x and two numbers per row.
#pragma once
#include "engine/context.h"

namespace ab {

// y = (x - mean) rstd gamma + beta; gamma and beta (last extent of x), fp32 masters.
Tensor layer_norm(Context& context, const Tensor& x, Parameter& gamma, Parameter& beta,
                  float epsilon);

}  // namespace ab
