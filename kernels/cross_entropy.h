// Softmax cross-entropy with label smoothing e (Szegedy et al., 2016), over C classes:
//   target_c = (1 - e) [c = label] + e / C
//   loss = mean over rows of ( log sum exp(x) - sum over c of target_c x_c )
//   dlogits = (softmax(x) - target) * dloss / rows
// logits (rows, cols) in `dtype`, labels (rows) int32; all sums in float, relative to the row's
// largest logit. A label outside [0, cols) makes the loss NaN. Bytes moved: forward 1, backward 2
// sweeps.
#pragma once
#include "kernels/stream.h"

namespace ab {

struct CrossEntropy {
  int64_t rows = 0, cols = 0;
  DevicePtr logits;      // (rows, cols)
  DevicePtr labels;      // (rows) int32
  DevicePtr statistics;  // (rows, 2) fp32: largest logit, log of the sum of exp(x - largest)
  float smoothing = 0.0f;
};
// row_loss (rows) fp32 and loss (1) fp32 = its mean; fills statistics.
void cross_entropy_forward(Stream stream, DType dtype, const CrossEntropy& arguments,
                           DevicePtr row_loss, DevicePtr loss);
// Reads statistics; dlogits (rows, cols) may be the logits.
void cross_entropy_backward(Stream stream, DType dtype, const CrossEntropy& arguments,
                            DevicePtr dlogits, float dloss);

}  // namespace ab
