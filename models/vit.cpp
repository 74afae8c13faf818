#include "models/vit.h"

#include "engine/error.h"
#include "engine/ops/dropout.h"
#include "engine/ops/linear.h"
#include "engine/ops/residual.h"
#include "engine/ops/tokens.h"

namespace ab {
namespace {

constexpr float kEpsilon = 1e-6f;

const ModelSettings& checked(const ModelSettings& s) {
  if (s.image % s.patch != 0)
    throw ConfigError("model.patch " + std::to_string(s.patch) + " does not divide model.image " +
                      std::to_string(s.image));
  if (s.dim % s.heads != 0)
    throw ConfigError("model.heads " + std::to_string(s.heads) + " does not divide model.dim " +
                      std::to_string(s.dim));
  return s;
}

int64_t tokens_of(const ModelSettings& s) {
  const int64_t side = s.image / s.patch;
  return side * side + 1;  // and the class token
}

// Drop path grows linearly from 0 at the first block to its full rate at the last.
std::deque<TransformerBlock> make_blocks(Network& network, const ModelSettings& s) {
  std::deque<TransformerBlock> blocks;
  for (int i = 0; i < s.depth; ++i) {
    const double rate = s.depth > 1 ? s.drop_path * i / (s.depth - 1) : 0.0;
    blocks.emplace_back(network, "blocks." + std::to_string(i), s.dim, s.heads, s.mlp_ratio,
                        static_cast<float>(rate), static_cast<float>(s.dropout));
  }
  return blocks;
}

}  // namespace

TransformerBlock::TransformerBlock(Network& network, const std::string& name, int64_t dim,
                                   int heads, int mlp_ratio, float drop_path, float dropout)
    : norm1_(network, name + ".norm1", dim, kEpsilon),
      attention_(network, name + ".attn", dim, heads),
      norm2_(network, name + ".norm2", dim, kEpsilon),
      fc1_(network, name + ".mlp.fc1", dim, dim * mlp_ratio, true),
      fc2_(network, name + ".mlp.fc2", dim * mlp_ratio, dim, true),
      drop_path_(drop_path),
      dropout_(dropout) {}

Tensor TransformerBlock::forward(Context& context, const Tensor& x, Queries queries) {
  Tensor branch = attention_.forward(context, norm1_.forward(context, x), queries);
  const Tensor kept = queries == Queries::kAll ? x : class_token_of(context, x);
  const Tensor middle =
      add_drop_path(context, kept, dropout(context, branch, dropout_), drop_path_);
  branch = fc2_.forward(context, fc1_.forward_gelu(context, norm2_.forward(context, middle)));
  return add_drop_path(context, middle, dropout(context, branch, dropout_), drop_path_);
}

VisionTransformer::VisionTransformer(const ModelSettings& settings, ParameterStore& store)
    : Model(store),
      patch_(checked(settings).patch),
      class_token_(store.add("cls_token", {1, 1, settings.dim}, Role::kEmbedding)),
      positions_(store.add("pos_embed", {1, tokens_of(settings), settings.dim}, Role::kEmbedding)),
      patch_weight_(network_, "patch_embed.proj.weight",
                    {settings.dim, patch_, patch_, settings.channels}, Role::kStem),
      patch_bias_(store.add("patch_embed.proj.bias", {settings.dim}, Role::kBias)),
      blocks_(make_blocks(network_, settings)),
      norm_(network_, "norm", settings.dim, kEpsilon),
      head_(network_, "head", settings.dim, settings.classes, true, Role::kClassifier),
      dropout_(static_cast<float>(settings.dropout)) {}

Tensor VisionTransformer::forward(Context& context, const Tensor& images) {
  Tensor x = linear(context, patches(context, images, patch_), patch_weight_.dense(), &patch_bias_);
  x = assemble_tokens(context, x, class_token_, positions_);
  context.visit("patch_embed", x);
  x = dropout(context, x, dropout_);
  for (TransformerBlock& block : blocks_)
    x = block.forward(context, x, &block == &blocks_.back() ? Queries::kClassToken : Queries::kAll);
  return head_.forward(context, norm_.forward(context, x));
}

}  // namespace ab
