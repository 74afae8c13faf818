// Conversion of an activation between fp32 and bf16; its gradient comes back in x's type.
#pragma once
#include "engine/context.h"

namespace ab {

// x itself when it has that type already.
Tensor cast(Context& context, const Tensor& x, DType dtype);

}  // namespace ab
