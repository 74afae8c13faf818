// Conversion between storage types: fp32 and bf16, to nearest, ties to even, NaN kept.
// Bytes moved: n * (size of one + size of the other).
#pragma once
#include "kernels/stream.h"

namespace ab {

// to[i] = from[i] for i in [0, n); equal types copy.
void cast(Stream stream, int64_t n, DevicePtr from, DType from_dtype, DevicePtr to, DType to_dtype);

}  // namespace ab
