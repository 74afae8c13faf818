// VGG16 without batch norm (Simonyan and Zisserman, 2015, table 1 column D), with timm's
// convolutional head: the feature map is pooled to 7x7, 7x7 convolution -> 4096, 1x1 -> 4096,
// average, linear. Images of 32 px leave a map of 1x1, whose pooling would hold 49 copies of it:
// the 7x7 filters are folded instead (fold_adaptive_pool), 1/49 of the products for the same
// function.
#pragma once
#include <deque>

#include "layers/conv2d.h"
#include "layers/linear.h"
#include "models/model.h"

namespace ab {

class Vgg16 : public Model {
 public:
  Vgg16(const ModelSettings& settings, ParameterStore& store);
  Tensor forward(Context& context, const Tensor& images) override;

 private:
  std::deque<Conv2d> features_;
  std::deque<Conv2d> head_;  // fc1, fc2
  std::deque<Linear> classifier_;
  float dropout_;
};

}  // namespace ab
