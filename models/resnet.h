// ResNet (He et al., 2016), v1.5: the stride of a bottleneck sits in its 3x3 convolution.
//   resnet18, resnet34: basic blocks; resnet50: bottlenecks.
// Names as in timm and torchvision: conv1, bn1, layer1.0.conv1, ..., layer1.0.downsample.0, fc.
#pragma once
#include <deque>

#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "models/model.h"

namespace ab {

// A convolution and the batch norm that follows it.
struct ConvNorm {
  Conv2d convolution;
  BatchNorm norm;

  ConvNorm(Network& network, const std::string& convolution_name, const std::string& norm_name,
           const Conv2dSettings& settings)
      : convolution(network, convolution_name, settings), norm(network, norm_name, settings.out) {}
  Tensor forward(Context& context, const Tensor& x, bool relu, const Tensor* residual = nullptr) {
    return norm.forward(context, convolution.forward(context, x), relu, residual);
  }
};

// y = ReLU(body(x) + shortcut(x)); the body is two 3x3, or 1x1, 3x3, 1x1 convolutions.
class ResidualBlock {
 public:
  ResidualBlock(Network& network, const std::string& name, int64_t in, int64_t width, int64_t out,
                int64_t stride, bool bottleneck);
  Tensor forward(Context& context, const Tensor& x);
  Parameter& last_scale() const { return body_.back().norm.gamma(); }

 private:
  std::deque<ConvNorm> body_;
  std::deque<ConvNorm> shortcut_;  // empty: the identity
};

class ResNet : public Model {
 public:
  ResNet(const ModelSettings& settings, ParameterStore& store);
  Tensor forward(Context& context, const Tensor& images) override;

 private:
  std::deque<ConvNorm> stem_;
  std::deque<ResidualBlock> blocks_;
  std::deque<Linear> classifier_;
  float dropout_;
};

}  // namespace ab
