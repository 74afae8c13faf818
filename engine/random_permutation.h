// Permutations drawn from a seed.
#pragma once
#include <cstdint>
#include <vector>

namespace ab {

// Of 0 ... n - 1, each equally likely; a pure function of its arguments. It takes Philox's numbers
// (seed, stream, counter) with counters from 0 to about n / 2, seldom a few more.
std::vector<int64_t> random_permutation(int64_t n, uint64_t seed, uint64_t stream);

}  // namespace ab
