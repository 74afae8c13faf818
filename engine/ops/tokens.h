// Between images and token sequences, differentiable where a gradient is wanted.
#pragma once
#include "engine/context.h"

namespace ab {

// x (N, H, W, C) -> (N, (H/p) (W/p), p p C), a patch in (row, column, channel) order. No gradient
// flows back: throws when one is wanted.
Tensor patches(Context& context, const Tensor& x, int64_t patch);

// x (N, T, D) -> (N, T + 1, D): class_token (1, 1, D) in front, positions (1, T + 1, D) added.
Tensor assemble_tokens(Context& context, const Tensor& x, Parameter& class_token,
                       Parameter& positions);

// x (N, T, D) -> (N, D): the first token of each sequence.
Tensor class_token_of(Context& context, const Tensor& x);

}  // namespace ab
