#include "layers/conv2d.h"

#include "engine/ops/linear.h"
#include "engine/ops/pooling.h"
#include "engine/ranges.h"

namespace ab {

Conv2d::Conv2d(Network& network, const std::string& name, const Conv2dSettings& s)
    : name_(name),
      window_{s.kernel, s.kernel, s.stride, s.padding},
      weight_(network, name + ".weight", {s.out, s.kernel, s.kernel, s.in}, s.role),
      bias_(s.bias ? &network.store.add(name + ".bias", {s.out}, Role::kBias) : nullptr) {}

Tensor Conv2d::forward(Context& context, const Tensor& x, bool relu) {
  return run(context, x, window_, relu);
}

Tensor Conv2d::forward_pooled(Context& context, const Tensor& x, bool relu) {
  const int64_t height = x.shape()[1], width = x.shape()[2];
  if (height * width < window_.kernel_h * window_.kernel_w)
    return run(context, x, {height, width, 1, 0}, relu);
  return run(context, adaptive_average_pool(context, x, window_.kernel_h, window_.kernel_w),
             window_, relu);
}

Tensor Conv2d::run(Context& context, const Tensor& x, const ConvolutionWindow& window, bool relu) {
  const LayerRange range(context, name_);
  const auto filters = [&](const Operand& w) {
    if (window.kernel_h == window_.kernel_h && window.kernel_w == window_.kernel_w) return w;
    return Operand(fold_adaptive_pool(context, w, window_.kernel_h, window_.kernel_w,
                                      window.kernel_h, window.kernel_w));
  };
  const auto extent = [&](int64_t size, int64_t kernel) {
    return (size + 2 * window.padding - kernel) / window.stride + 1;
  };
  const int64_t rows =
      x.shape()[0] * extent(x.shape()[1], window.kernel_h) * extent(x.shape()[2], window.kernel_w);
  Tensor y;
  if (!weight_.factored()) {
    y = convolution(context, x, filters(weight_.dense()), window, bias_, relu);
  } else if (weight_.takes_thin(rows)) {
    const Tensor h = convolution(context, x, filters(weight_.inner()), window, nullptr, false);
    y = convolution(context, h, weight_.outer(), {}, bias_, relu);
  } else {
    const Tensor w = factor_product(context, weight_.outer(), weight_.inner(), weight_.shape());
    y = convolution(context, x, filters(w), window, bias_, relu);
  }
  context.visit(name_, y);
  return y;
}

}  // namespace ab
