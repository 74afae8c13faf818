// Softmax cross-entropy with label smoothing, averaged over the samples of this call
// (kernels/cross_entropy.h). The end of a forward pass: its closure starts backward by itself, with
// d(loss) = 1, so Tape::backward() needs no seed.
#pragma once
#include "engine/context.h"

namespace ab {

// logits (N, classes), labels (N) int32 in [0, classes), 0 <= smoothing < 1. Returns the mean,
// fp32, shape (1); a label outside the range makes it NaN.
Tensor cross_entropy(Context& context, const Tensor& logits, const Tensor& labels, float smoothing);

}  // namespace ab
