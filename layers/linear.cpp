#include "layers/linear.h"

#include "engine/ops/activation.h"
#include "engine/ops/linear.h"
#include "engine/ranges.h"

namespace ab {

Linear::Linear(Network& network, const std::string& name, int64_t in, int64_t out, bool bias,
               Role role)
    : name_(name),
      weight_(network, name + ".weight", {out, in}, role),
      bias_(bias ? &network.store.add(name + ".bias", {out}, Role::kBias) : nullptr) {}

Tensor Linear::product(Context& context, const Tensor& x) {
  if (!weight_.factored()) return linear(context, x, weight_.dense());
  if (weight_.takes_thin(x.shape().rows()))
    return linear(context, linear(context, x, weight_.inner()), weight_.outer());
  return linear(context, x,
                factor_product(context, weight_.outer(), weight_.inner(), weight_.shape()));
}

Tensor Linear::forward(Context& context, const Tensor& x) {
  const Range range(context.device.runtime(), name_);
  Tensor y = product(context, x);
  if (bias_) y = add_bias(context, std::move(y), *bias_);
  context.visit(name_, y);
  return y;
}

Tensor Linear::forward_gelu(Context& context, const Tensor& x) {
  const Range range(context.device.runtime(), name_);
  Tensor y = bias_gelu(context, product(context, x), bias_);
  context.visit(name_, y);
  return y;
}

}  // namespace ab
