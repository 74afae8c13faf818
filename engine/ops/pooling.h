// Pooling of NHWC images, differentiable; definitions in kernels/pooling.h.
#pragma once
#include "engine/ops/operand.h"

namespace ab {

// x (N, H, W, C) -> (N, (H + 2 padding - kernel) / stride + 1, likewise, C).
Tensor max_pool(Context& context, const Tensor& x, int64_t kernel, int64_t stride,
                int64_t padding = 0);
Tensor average_pool(Context& context, const Tensor& x, int64_t kernel, int64_t stride,
                    int64_t padding = 0);
// x (N, H, W, C) -> (N, out_height, out_width, C), shrinking or enlarging.
Tensor adaptive_average_pool(Context& context, const Tensor& x, int64_t out_height,
                             int64_t out_width);
// Filters w (out, kernel_h, kernel_w, in) that cover P x = adaptive_average_pool(x, kernel_h,
// kernel_w), for maps x (N, height, width, in) themselves -> (out, height, width, in). P is linear
// in the places: w . (P x) = (P^T w) . x, and dw = P d(P^T w). Cheaper where x has fewer places
// than w; the sums of P^T round once more in bf16.
Tensor fold_adaptive_pool(Context& context, const Operand& w, int64_t kernel_h, int64_t kernel_w,
                          int64_t height, int64_t width);
// x (N, H, W, C) -> (N, C).
Tensor global_average_pool(Context& context, const Tensor& x);

}  // namespace ab
