// The fastest matrix product this device does right now: what bench_step and bench_kernels measure
// themselves against.
#pragma once
#include "engine/device.h"

namespace ab {

// Best GF/s over square products of 1024, 1536 and 2048, several tries each (under a second on two
// cores), on the calling thread's OpenMP threads. device.flops is left as it was.
double gemm_ceiling(Device& device, DType dtype = DType::kFloat32);

}  // namespace ab
