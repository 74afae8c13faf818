// Random orthogonal matrices, for initial weights.
//
// The first columns of a product of layers of plane rotations: a layer deals the coordinates out in
// random pairs and turns each pair. This is Kac's walk on the orthogonal group, all pairs of a
// layer at once. The first log2 n layers turn by 45 degrees, which spreads a unit vector evenly
// over all n coordinates; twelve more turn by random angles and draw the entries towards N(0, 1/n):
// of the excess of their fourth moment a layer leaves 1/2 and 3/4. Work: 6 (log2 n + 12) operations
// an entry, where the QR decomposition of a Gaussian matrix takes four times the smaller extent: 45
// s for VGG16's (4096, 25088) on one core.
#pragma once
#include <cstdint>

namespace ab {

// w (rows, columns): orthonormal rows or columns, whichever are fewer; extents below 2^31. A pure
// function of its arguments, whatever the number of threads.
void random_orthogonal(uint64_t seed, uint64_t stream, int64_t rows, int64_t columns, float* w);

}  // namespace ab
