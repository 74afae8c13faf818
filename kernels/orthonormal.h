// Orthonormal rows: Gram-Schmidt in place, all matrices of a launch at once, one block each.
//   for row j: twice over, x_j <- x_j - (x_i . x_j) x_i for i < j;  then x_j <- x_j / |x_j|
// The second sweep brings the rows to orthogonality within rounding (Giraud et al., "Rounding error
// analysis of the classical Gram-Schmidt orthogonalization process", 2005: twice is enough). A row
// of which less than 1e-5 is left lies in the span of those before it: a pseudo-random direction,
// the same on every rank, takes its place, so that the rows are always a frame.
// Bytes: about 4 rows^2 cols floats, out of cache for thin matrices.
#pragma once
#include <span>

#include "kernels/stream.h"

namespace ab {

struct Frame {
  DevicePtr x;  // (rows, cols) fp32, rows <= cols
  int64_t rows = 0, cols = 0;
};

// Throws std::invalid_argument where rows > cols.
void orthonormalise_rows(Stream stream, std::span<const Frame> frames);

}  // namespace ab
