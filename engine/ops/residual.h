// Sums of two tensors of one shape: the residual connection, with or without drop path.
// The gradients of both operands may be one and the same tensor. That is safe as long as one of
// them is consumed before a further contribution reaches the other, which holds wherever the branch
// starts from the tensor it is added to.
#pragma once
#include "engine/context.h"

namespace ab {

// a + b
Tensor add(Context& context, const Tensor& a, const Tensor& b);
// x + s branch: s per sample (first axis) 0 with probability `rate`, else 1 / (1 - rate). A plain
// sum when the rate is 0 or the context is not training.
Tensor add_drop_path(Context& context, const Tensor& x, const Tensor& branch, float rate);

}  // namespace ab
