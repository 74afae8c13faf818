#include "tools/train/pytorch_names.h"

#include <algorithm>

namespace ab {
namespace {

struct Pair {
  const char *timm, *torchvision;
};

// Whole beginnings and whole inner parts; a name takes the first beginning that fits, then every
// part.
constexpr Pair kVitBeginnings[] = {{"cls_token", "class_token"},
                                   {"pos_embed", "encoder.pos_embedding"},
                                   {"patch_embed.proj.", "conv_proj."},
                                   {"blocks.", "encoder.layers.encoder_layer_"},
                                   {"norm.", "encoder.ln."},
                                   {"head.", "heads.head."}};
constexpr Pair kVitParts[] = {{".norm1.", ".ln_1."},
                              {".norm2.", ".ln_2."},
                              {".attn.qkv.weight", ".self_attention.in_proj_weight"},
                              {".attn.proj.", ".self_attention.out_proj."},
                              {".mlp.fc1.", ".mlp.0."},
                              {".mlp.fc2.", ".mlp.3."}};
constexpr Pair kVggBeginnings[] = {{"pre_logits.fc1.", "classifier.0."},
                                   {"pre_logits.fc2.", "classifier.3."},
                                   {"head.fc.", "classifier.6."}};
constexpr int64_t kVggHeadTaps = 49;  // 7 x 7

const char* from_of(const Pair& pair, bool to_torchvision) {
  return to_torchvision ? pair.timm : pair.torchvision;
}

const char* to_of(const Pair& pair, bool to_torchvision) {
  return to_torchvision ? pair.torchvision : pair.timm;
}

void replace_beginning(std::string& name, const Pair* begin, const Pair* end, bool torchvision) {
  for (const Pair* pair = begin; pair != end; ++pair) {
    const std::string from = from_of(*pair, torchvision);
    if (!name.starts_with(from)) continue;
    name = to_of(*pair, torchvision) + name.substr(from.size());
    return;
  }
}

std::string renamed(std::string name, bool vgg, bool torchvision) {
  if (vgg) {
    replace_beginning(name, std::begin(kVggBeginnings), std::end(kVggBeginnings), torchvision);
    return name;
  }
  const std::string block = from_of(kVitBeginnings[3], torchvision);
  const bool inside = name.starts_with(block);
  replace_beginning(name, std::begin(kVitBeginnings), std::end(kVitBeginnings), torchvision);
  for (const Pair& pair : kVitParts) {
    const std::string from = from_of(pair, torchvision);
    const size_t at = inside ? name.find(from) : std::string::npos;
    if (at != std::string::npos) name.replace(at, from.size(), to_of(pair, torchvision));
  }
  return name;
}

bool any_starts_with(const std::vector<std::string>& names, const char* begin) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return name.starts_with(begin); });
}

}  // namespace

NameStyle style_of(const std::vector<std::string>& names) {
  for (const char* begin : {"class_token", "conv_proj.", "encoder.", "classifier."})
    if (any_starts_with(names, begin)) return NameStyle::kTorchvision;
  return NameStyle::kTimm;
}

bool is_vgg(const std::vector<std::string>& names) {
  return any_starts_with(names, "features.");
}

NamedShape to_torchvision(const NamedShape& timm, bool vgg) {
  NamedShape result{renamed(timm.name, vgg, true), timm.shape};
  if (vgg && timm.name.starts_with("pre_logits.") && timm.shape.size() == 4)
    result.shape = {timm.shape[0], timm.shape[1] * timm.shape[2] * timm.shape[3]};
  return result;
}

NamedShape to_timm(const NamedShape& torchvision, bool vgg) {
  NamedShape result{renamed(torchvision.name, vgg, false), torchvision.shape};
  if (!vgg || torchvision.shape.size() != 2) return result;
  const int64_t out = torchvision.shape[0], in = torchvision.shape[1];
  if (torchvision.name == "classifier.0.weight" && in % kVggHeadTaps == 0)
    result.shape = {out, in / kVggHeadTaps, 7, 7};
  if (torchvision.name == "classifier.3.weight") result.shape = {out, in, 1, 1};
  return result;
}

}  // namespace ab
