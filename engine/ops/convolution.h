// Convolution with bias and ReLU in one pass, differentiable.
#pragma once
#include "engine/ops/operand.h"

namespace ab {

struct ConvolutionWindow {
  int64_t kernel_h = 1, kernel_w = 1, stride = 1, padding = 0;
};

// y (N, P, Q, out) from x (N, H, W, in) and filters w (out, kernel_h * kernel_w * in in that
// order); bias (out) may be null; relu: y = max(0, .).
Tensor convolution(Context& context, const Tensor& x, const Operand& w,
                   const ConvolutionWindow& window, Parameter* bias, bool relu);

}  // namespace ab
