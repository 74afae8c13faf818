// Counts of correct predictions; nothing here is differentiable.
#pragma once
#include "engine/context.h"

namespace ab {

// logits (rows, classes), labels int32 (rows) -> fp32 (2): top-1 and top-5 hits of the batch,
// counts and not shares. Ties go to the lower class; with five classes or fewer every sample is a
// top-5 hit.
Tensor accuracy(Context& context, const Tensor& logits, const Tensor& labels);

}  // namespace ab
