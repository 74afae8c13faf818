// Multi-head self-attention with a fused qkv weight without bias (timm: attn.qkv, attn.proj).
#pragma once
#include <string>

#include "layers/linear.h"

namespace ab {

class Attention {
 public:
  Attention(Network& network, const std::string& name, int64_t dim, int heads);
  Tensor forward(Context& context, const Tensor& x);  // (N, T, dim)

 private:
  int heads_;
  Linear qkv_, projection_;
};

}  // namespace ab
