// Conv2d: 2-D convolution, NHWC, filters (out, kernel, kernel, in) dense or factored. A factored
// filter runs as one dense filter A B, or thin: a convolution with k filters, then a 1x1 one.
#pragma once
#include <string>

#include "engine/context.h"
#include "engine/ops/convolution.h"
#include "layers/factored_weight.h"

namespace ab {

struct Conv2dSettings {
  int64_t in = 0, out = 0, kernel = 1, stride = 1, padding = 0;
  bool bias = false;
  Role role = Role::kWeight;
};

class Conv2d {
 public:
  // Registers "<name>.weight" and, if asked, "<name>.bias".
  Conv2d(Network& network, const std::string& name, const Conv2dSettings& settings);

  // relu: max(0, .) in the same pass.
  Tensor forward(Context& context, const Tensor& x, bool relu = false);
  // forward() of adaptive_average_pool(x, kernel, kernel), for a layer without padding. A map of
  // fewer places than the kernel has is not enlarged: the filter is folded to the map's size.
  Tensor forward_pooled(Context& context, const Tensor& x, bool relu = false);

 private:
  // window: the layer's, or that of an unpadded map to whose size the filter is folded first.
  Tensor run(Context& context, const Tensor& x, const ConvolutionWindow& window, bool relu);

  std::string name_;
  ConvolutionWindow window_;
  FactoredWeight weight_;
  Parameter* bias_;
};

}  // namespace ab
