// Questions about a tensor's content, answered on the host; for checks, not for the training step.
#pragma once
#include "engine/tensor.h"

namespace ab {

// A 64-bit hash of the bits (kernels/checksum.h): replicas that agree have equal ones.
uint64_t checksum_of(Arena& arena, Stream stream, const Tensor& tensor);

// Number of infinite or NaN elements; fp32 or bf16.
int64_t non_finite_in(Arena& arena, Stream stream, const Tensor& tensor);

}  // namespace ab
