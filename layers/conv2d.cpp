#include "layers/conv2d.h"

#include "engine/ops/linear.h"
#include "engine/ranges.h"

namespace ab {

Conv2d::Conv2d(Network& network, const std::string& name, const Conv2dSettings& s)
    : name_(name),
      window_{s.kernel, s.kernel, s.stride, s.padding},
      weight_(network, name + ".weight", {s.out, s.kernel, s.kernel, s.in}, s.role),
      bias_(s.bias ? &network.store.add(name + ".bias", {s.out}, Role::kBias) : nullptr) {}

Tensor Conv2d::forward(Context& context, const Tensor& x, bool relu) {
  const LayerRange range(context, name_);
  const auto extent = [&](int64_t size) {
    return (size + 2 * window_.padding - window_.kernel_h) / window_.stride + 1;
  };
  const int64_t rows = x.shape()[0] * extent(x.shape()[1]) * extent(x.shape()[2]);
  Tensor y;
  if (!weight_.factored()) {
    y = convolution(context, x, weight_.dense(), window_, bias_, relu);
  } else if (weight_.takes_thin(rows)) {
    const Tensor h = convolution(context, x, weight_.inner(), window_, nullptr, false);
    y = convolution(context, h, weight_.outer(), {}, bias_, relu);
  } else {
    const Tensor w = factor_product(context, weight_.outer(), weight_.inner(), weight_.shape());
    y = convolution(context, x, w, window_, bias_, relu);
  }
  context.visit(name_, y);
  return y;
}

}  // namespace ab
