// Vision transformer (Dosovitskiy et al., 2021): pre-norm blocks, class token, learned positions,
// qkv without bias, exact GELU; names as in timm: cls_token, pos_embed, patch_embed.proj,
// blocks.0.norm1, ...
#pragma once
#include <deque>

#include "layers/attention.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "models/model.h"

namespace ab {

// x + drop_path(attention(norm1(x))), then x + drop_path(mlp(norm2(x))). Of the last block the head
// reads the class token alone: (N, T, dim) to (N, dim), so that projection and MLP see one token of
// T. The other tokens' keys and values are all that the loss depends on.
class TransformerBlock {
 public:
  TransformerBlock(Network& network, const std::string& name, int64_t dim, int heads, int mlp_ratio,
                   float drop_path, float dropout);
  Tensor forward(Context& context, const Tensor& x, Queries queries);

 private:
  LayerNorm norm1_;
  Attention attention_;
  LayerNorm norm2_;
  Linear fc1_, fc2_;
  float drop_path_, dropout_;
};

class VisionTransformer : public Model {
 public:
  VisionTransformer(const ModelSettings& settings, ParameterStore& store);
  Tensor forward(Context& context, const Tensor& images) override;

 private:
  int64_t patch_;
  Parameter &class_token_, &positions_;
  FactoredWeight patch_weight_;
  Parameter& patch_bias_;
  std::deque<TransformerBlock> blocks_;
  LayerNorm norm_;
  Linear head_;
  float dropout_;
};

}  // namespace ab
