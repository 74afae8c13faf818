// ReLU and GELU, with the bias of the layer before them where it has one. Shapes are kept; the last
// axis is the bias's. A bias that is not trainable costs no backward work.
#pragma once
#include "engine/context.h"

namespace ab {

// y = max(x, 0); keeps y.
Tensor relu(Context& context, const Tensor& x);
// y = max(z + bias, 0), written over z, which must have no other reader.
Tensor bias_relu(Context& context, const Tensor& z, Parameter& bias);
// y = gelu(z + bias); the sum is stored in z's memory and kept. bias may be null.
Tensor bias_gelu(Context& context, const Tensor& z, Parameter* bias);
// x + bias in x's memory, which must have no other reader of its old values: not the result of
// relu, which backward reads.
Tensor add_bias(Context& context, Tensor x, Parameter& bias);

}  // namespace ab
