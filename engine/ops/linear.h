// Linear maps and the product of two factors, differentiable.
#pragma once
#include "engine/ops/operand.h"

namespace ab {

// y (..., out) = x (..., in) w^T + bias with w (out, in), further extents of w counted as `in`;
// bias may be null.   dx = dy w,  dw = dy^T x,  dbias = sum over rows of dy.
Tensor linear(Context& context, const Tensor& x, const Operand& w, Parameter* bias = nullptr);

// y = gelu(x w^T + bias); the bias gradient comes out of the sweep of the GELU's backward.
Tensor linear_gelu(Context& context, const Tensor& x, const Operand& w, Parameter* bias);

// W (out, in) = outer (out, k) inner (k, in), seen under `shape`; the dense forward of a factored
// weight.   d outer = dW inner^T,  d inner = outer^T dW, each only when trained.
Tensor factor_product(Context& context, Parameter& outer, Parameter& inner, const Shape& shape);

}  // namespace ab
