// Pooling of NHWC images, differentiable; definitions in kernels/pooling.h.
#pragma once
#include "engine/context.h"

namespace ab {

// x (N, H, W, C) -> (N, (H + 2 padding - kernel) / stride + 1, likewise, C).
Tensor max_pool(Context& context, const Tensor& x, int64_t kernel, int64_t stride,
                int64_t padding = 0);
Tensor average_pool(Context& context, const Tensor& x, int64_t kernel, int64_t stride,
                    int64_t padding = 0);
// x (N, H, W, C) -> (N, out_height, out_width, C), shrinking or enlarging.
Tensor adaptive_average_pool(Context& context, const Tensor& x, int64_t out_height,
                             int64_t out_width);
// x (N, H, W, C) -> (N, C).
Tensor global_average_pool(Context& context, const Tensor& x);

}  // namespace ab
