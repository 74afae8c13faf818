// y (cols, rows) = the transpose of x (rows, cols), fp32 or bf16. x and y must not overlap.
// Bytes: reads x once, writes y once.
#pragma once
#include "kernels/stream.h"

namespace ab {

void transpose(Stream stream, DType dtype, int64_t rows, int64_t cols, DevicePtr x, DevicePtr y);

}  // namespace ab
