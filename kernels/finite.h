// Counts the elements that are infinite or NaN: the question behind "loss not finite".
// An exponent of all ones says so in fp32 and in bf16. Bytes: reads x once.
#pragma once
#include "kernels/stream.h"

namespace ab {

size_t count_non_finite_scratch_bytes(int64_t n);

// x (n) in dtype fp32 or bf16; result: one int64 in device memory.
void count_non_finite(Stream stream, DType dtype, int64_t n, DevicePtr x, DevicePtr scratch,
                      DevicePtr result);

}  // namespace ab
