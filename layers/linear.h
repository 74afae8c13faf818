// Linear: y = x W^T + bias, W (out, in) dense or factored.
#pragma once
#include <string>

#include "engine/ops/operand.h"
#include "layers/factored_weight.h"

namespace ab {

class Linear {
 public:
  // Registers "<name>.weight" and, if asked, "<name>.bias".
  Linear(Network& network, const std::string& name, int64_t in, int64_t out, bool bias,
         Role role = Role::kWeight);

  Tensor forward(Context& context, const Tensor& x);
  // GELU(x W^T + bias).
  Tensor forward_gelu(Context& context, const Tensor& x);

 private:
  using Map = Tensor (*)(Context&, const Tensor&, const Operand&, Parameter* bias);
  Tensor apply(Context& context, const Tensor& x, Map map);

  std::string name_;
  FactoredWeight weight_;
  Parameter* bias_;
};

}  // namespace ab
