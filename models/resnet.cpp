#include "models/resnet.h"

#include <array>

#include "engine/error.h"
#include "engine/ops/dropout.h"
#include "engine/ops/pooling.h"

namespace ab {
namespace {

struct Plan {
  const char* name;
  std::array<int, 4> blocks;
  bool bottleneck;
};
constexpr Plan kPlans[] = {{"resnet18", {2, 2, 2, 2}, false},
                           {"resnet34", {3, 4, 6, 3}, false},
                           {"resnet50", {3, 4, 6, 3}, true}};
constexpr int kBaseChannels = 64, kExpansion = 4;

const Plan& plan_of(const std::string& name) {
  for (const Plan& plan : kPlans)
    if (name == plan.name) return plan;
  throw ConfigError("model.name '" + name + "': known are resnet18, resnet34, resnet50");
}

}  // namespace

ResidualBlock::ResidualBlock(Network& network, const std::string& name, int64_t in, int64_t width,
                             int64_t out, int64_t stride, bool bottleneck) {
  const auto add = [&](int number, const Conv2dSettings& settings) {
    const std::string n = std::to_string(number);
    body_.emplace_back(network, name + ".conv" + n, name + ".bn" + n, settings);
  };
  if (bottleneck) {
    add(1, {in, width, 1, 1, 0});
    add(2, {width, width, 3, stride, 1});
    add(3, {width, out, 1, 1, 0});
  } else {
    add(1, {in, out, 3, stride, 1});
    add(2, {out, out, 3, 1, 1});
  }
  if (stride != 1 || in != out)
    shortcut_.emplace_back(network, name + ".downsample.0", name + ".downsample.1",
                           Conv2dSettings{in, out, 1, stride, 0});
}

Tensor ResidualBlock::forward(Context& context, const Tensor& x) {
  const Tensor identity = shortcut_.empty() ? x : shortcut_[0].forward(context, x, false);
  Tensor y = x;
  for (ConvNorm& part : body_)
    y = &part == &body_.back() ? part.forward(context, y, true, &identity)
                               : part.forward(context, y, true);
  return y;
}

ResNet::ResNet(const ModelSettings& settings, ParameterStore& store)
    : Model(store), dropout_(static_cast<float>(settings.dropout)) {
  const Plan& plan = plan_of(settings.name);
  const int64_t base = scaled_channels(kBaseChannels, settings.width);
  stem_.emplace_back(network_, "conv1", "bn1",
                     Conv2dSettings{settings.channels, base, 7, 2, 3, false, Role::kStem});
  int64_t in = base;
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t width = scaled_channels(kBaseChannels << stage, settings.width);
    const int64_t out = plan.bottleneck ? width * kExpansion : width;
    for (int block = 0; block < plan.blocks[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
      blocks_.emplace_back(network_, name, in, width, out, stride, plan.bottleneck);
      zero_scales_.push_back(&blocks_.back().last_scale());
      in = out;
    }
  }
  classifier_.emplace_back(network_, "fc", in, settings.classes, true, Role::kClassifier);
}

Tensor ResNet::forward(Context& context, const Tensor& images) {
  Tensor x = stem_[0].forward(context, images, true);
  x = max_pool(context, x, 3, 2, 1);
  for (ResidualBlock& block : blocks_) x = block.forward(context, x);
  x = global_average_pool(context, x);
  x = dropout(context, x, dropout_);
  return classifier_[0].forward(context, x);
}

}  // namespace ab
