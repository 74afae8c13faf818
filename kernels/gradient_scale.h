// Clipping by the global norm (Pascanu et al., "On the difficulty of training recurrent neural
// networks", 2013), decided where the gradients are:
//   norm = sqrt(squares);  factor = clip / (norm + 1e-6) where clip > 0 and norm > clip, else 1
// in double, rounded to float once. `finite` is 0 where norm or loss is not: the update that
// follows then leaves everything as it is, and the host, which learns of it later, finds the
// weights that went wrong.
#pragma once
#include "kernels/stream.h"

namespace ab {

struct GradientScale {
  float factor = 1.0f;
  int32_t finite = 1;
};

// squares: one fp64, the sum of the gradients' squares; loss: one fp32; scale: one GradientScale.
void gradient_scale(Stream stream, DevicePtr squares, DevicePtr loss, double clip, DevicePtr scale);

}  // namespace ab
