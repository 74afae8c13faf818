// Dropout over elements; samples are the first axis, so that a mask depends on the sample's place
// in the global batch alone (kernels/dropout.h). The mask is drawn again in backward.
#pragma once
#include "engine/context.h"

namespace ab {

// x itself when the rate is 0 or the context is not training.
Tensor dropout(Context& context, const Tensor& x, float rate);

}  // namespace ab
