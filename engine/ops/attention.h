// Scaled dot-product attention (Vaswani et al., 2017) for a fused projection:
//   qkv (B, T, 3 D) = [q | k | v], each (heads, D / heads) along the last axis
//   P = softmax(q k^T / sqrt(D / heads)) (B, heads, T, T),  y = P v (B, T, D)
// Heads are reached by strides of the batched products, nothing is copied. P is kept for backward:
// B heads T^2 elements. Where no later layer reads another token than the first, the class token,
// only that one asks: P (B, heads, 1, T), y (B, D), the same numbers as the rows of the whole.
#pragma once
#include "engine/context.h"

namespace ab {

enum class Queries { kAll, kClassToken };

Tensor attention(Context& context, const Tensor& qkv, int heads, Queries queries = Queries::kAll);

}  // namespace ab
