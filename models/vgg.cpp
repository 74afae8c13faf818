#include "models/vgg.h"

#include "engine/error.h"
#include "engine/ops/dropout.h"
#include "engine/ops/pooling.h"

namespace ab {
namespace {

constexpr int kPool = 0;
// Column D: channels of 3x3 convolutions, kPool a 2x2 max pooling. A convolution is followed by a
// ReLU, so layer numbers (timm: features.N) go up by two, and by one for a pooling.
constexpr int kColumnD[] = {64,    64,  kPool, 128, 128,   kPool, 256, 256, 256,
                            kPool, 512, 512,   512, kPool, 512,   512, 512, kPool};
constexpr int kHeadChannels = 4096, kHeadSide = 7;

}  // namespace

Vgg16::Vgg16(const ModelSettings& settings, ParameterStore& store)
    : Model(store), dropout_(static_cast<float>(settings.dropout)) {
  if (settings.image < 32)
    throw ConfigError("model.image " + std::to_string(settings.image) +
                      " is too small for vgg16: five poolings leave nothing; 32 or more works");
  int64_t channels = settings.channels;
  int number = 0;
  for (const int column : kColumnD) {
    if (column == kPool) {
      ++number;
      continue;
    }
    const int64_t out = scaled_channels(column, settings.width);
    const Role role = number == 0 ? Role::kStem : Role::kWeight;
    features_.emplace_back(network_, "features." + std::to_string(number),
                           Conv2dSettings{channels, out, 3, 1, 1, true, role});
    channels = out;
    number += 2;
  }
  const int64_t wide = scaled_channels(kHeadChannels, settings.width);
  head_.emplace_back(network_, "pre_logits.fc1",
                     Conv2dSettings{channels, wide, kHeadSide, 1, 0, true});
  head_.emplace_back(network_, "pre_logits.fc2", Conv2dSettings{wide, wide, 1, 1, 0, true});
  classifier_.emplace_back(network_, "head.fc", wide, settings.classes, true, Role::kClassifier);
}

Tensor Vgg16::forward(Context& context, const Tensor& images) {
  Tensor x = images;
  auto layer = features_.begin();
  for (const int column : kColumnD)
    x = column == kPool ? max_pool(context, x, 2, 2, 0) : (layer++)->forward(context, x, true);
  x = head_[0].forward_pooled(context, x, true);
  x = dropout(context, x, dropout_);
  x = head_[1].forward(context, x, true);
  x = global_average_pool(context, x);
  x = dropout(context, x, dropout_);
  return classifier_[0].forward(context, x);
}

}  // namespace ab
