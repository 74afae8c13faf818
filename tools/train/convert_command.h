// abtrain convert: a run's weights under PyTorch's names, or PyTorch's weights under ours.
//   Input: a .safetensors file, a checkpoint's folder, or a run's folder (its newest weights);
//   names of timm or torchvision, recognised by themselves. Output: one .safetensors file in fp32.
//   Factored weights (a checkpoint inside a group phase, of which the first group's image is taken)
//   are multiplied out, W = A B, or stay two tensors "<name>.A" and "<name>.B" with --factors.
//   torchvision's attention has a bias on q, k, v that our ViT lacks: zeros are written, and
//   anything but zeros is refused.
#pragma once
#include "tools/train/options.h"

namespace ab {

// Throws DataError (the input), ConfigError (--factors where nothing is factored).
int convert_command(const Options& options);

}  // namespace ab
