// Names of a model's tensors in PyTorch's two model libraries. A ResNet's are the same in both; a
// ViT and a VGG16 differ:
//   timm                            torchvision
//   cls_token, pos_embed            class_token, encoder.pos_embedding
//   patch_embed.proj                conv_proj
//   blocks.0.norm1, norm2           encoder.layers.encoder_layer_0.ln_1, ln_2
//   blocks.0.attn.qkv.weight        ....self_attention.in_proj_weight (and in_proj_bias)
//   blocks.0.attn.proj              ....self_attention.out_proj
//   blocks.0.mlp.fc1, fc2           ....mlp.0, mlp.3
//   norm, head                      encoder.ln, heads.head
//   pre_logits.fc1 (4096,512,7,7)   classifier.0 (4096, 25088)
//   pre_logits.fc2 (4096,4096,1,1)  classifier.3 (4096, 4096)
//   head.fc                         classifier.6
// Shapes are equal but for the two of VGG's head, which hold the same values in the same order.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace ab {

enum class NameStyle : uint8_t { kTimm, kTorchvision };

// The style that a file's names have; names of no known model count as timm's.
NameStyle style_of(const std::vector<std::string>& names);

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;
};
// vgg: the names are those of a VGG16, whose head is spelt as a convolution by timm.
NamedShape to_torchvision(const NamedShape& timm, bool vgg);
NamedShape to_timm(const NamedShape& torchvision, bool vgg);
bool is_vgg(const std::vector<std::string>& names);

}  // namespace ab
