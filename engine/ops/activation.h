// ReLU and GELU. Shapes are kept.
#pragma once
#include "engine/context.h"

namespace ab {

// y = max(x, 0); keeps y.
Tensor relu(Context& context, const Tensor& x);
// y = gelu(z); keeps z. bias: of the layer that made z, or null; z holds it already, its gradient
// is made here because dz passes by anyway. One that is not trainable costs no backward work.
Tensor gelu(Context& context, const Tensor& z, Parameter* bias = nullptr);

}  // namespace ab
