#include "layers/linear.h"

#include "engine/ops/linear.h"
#include "engine/ranges.h"

namespace ab {

Linear::Linear(Network& network, const std::string& name, int64_t in, int64_t out, bool bias,
               Role role)
    : name_(name),
      weight_(network, name + ".weight", {out, in}, role),
      bias_(bias ? &network.store.add(name + ".bias", {out}, Role::kBias) : nullptr) {}

// The last product takes the bias in.
Tensor Linear::apply(Context& context, const Tensor& x, Map map) {
  if (!weight_.factored()) return map(context, x, weight_.dense(), bias_);
  if (weight_.takes_thin(x.shape().rows()))
    return map(context, linear(context, x, weight_.inner()), weight_.outer(), bias_);
  return map(context, x, factor_product(context, weight_.outer(), weight_.inner(), weight_.shape()),
             bias_);
}

Tensor Linear::forward(Context& context, const Tensor& x) {
  const LayerRange range(context, name_);
  Tensor y = apply(context, x, linear);
  context.visit(name_, y);
  return y;
}

Tensor Linear::forward_gelu(Context& context, const Tensor& x) {
  const LayerRange range(context, name_);
  Tensor y = apply(context, x, linear_gelu);
  context.visit(name_, y);
  return y;
}

}  // namespace ab
