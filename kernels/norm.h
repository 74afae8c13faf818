// Sum of squares of n floats: the square of a gradient's global norm.
//   sum_i x_i^2: fixed chunks of kFlatChunk elements summed in float, one partial sum each; the
//   partial sums are folded in double, in an order that depends on n alone. The error is that of a
//   float sum of kFlatChunk terms whatever n is: 1e-9 measured at 1e8 random elements, 2.4e-4 at
//   the very most.
// x (n) fp32; partials (sum_of_squares_partials(n)) fp32; result one fp64. Bytes moved: 4 n read.
#pragma once
#include "kernels/stream.h"

namespace ab {

// How many floats of scratch memory the sum needs; at least one.
int64_t sum_of_squares_partials(int64_t n);
void sum_of_squares(Stream stream, int64_t n, DevicePtr x, DevicePtr partials, DevicePtr result);

}  // namespace ab
