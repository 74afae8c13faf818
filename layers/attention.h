// Multi-head self-attention with a fused qkv weight without bias (timm: attn.qkv, attn.proj).
#pragma once
#include <string>

#include "engine/ops/attention.h"
#include "layers/linear.h"

namespace ab {

class Attention {
 public:
  Attention(Network& network, const std::string& name, int64_t dim, int heads);
  // x (N, T, dim) to the same shape, or (N, dim) where the class token alone asks.
  Tensor forward(Context& context, const Tensor& x, Queries queries);

 private:
  int heads_;
  Linear qkv_, projection_;
};

}  // namespace ab
