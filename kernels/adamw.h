// One AdamW update of n parameters in one pass (Loshchilov and Hutter, ICLR 2019, Algorithm 2):
//   g' = factor g
//   m <- b1 m + (1-b1) g';   v <- b2 v + (1-b2) g'^2
//   p <- p - lr ( m c1 / (sqrt(v c2) + eps) + wd p ),   c1 = 1/(1-b1^t), c2 = 1/(1-b2^t)
// All arrays (n), fp32, arithmetic in float; c1 and c2 come from the host, computed in double: in
// float 1 - 0.999^t has lost four digits at t = 1. What differs from step to step is read from
// device memory, so one recorded launch serves all steps. Bytes moved per element: 16 read
// (p, g, m, v), 12 written (p, m, v).
#pragma once
#include "kernels/stream.h"

namespace ab {

struct AdamWRates {
  float lr = 0.0f;
  float correction1 = 1.0f, correction2 = 1.0f;  // c1, c2
};

struct AdamWArguments {
  int64_t n = 0;
  DevicePtr p, g, m, v;
  float weight_decay = 0.0f, beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f;
  float one_minus_beta1 = 0.1f, one_minus_beta2 = 0.001f;
  DevicePtr rates;  // AdamWRates
  DevicePtr scale;  // GradientScale (gradient_scale.h); nothing is written where it is not finite
};

void adamw(Stream stream, const AdamWArguments& arguments);

}  // namespace ab
