// Philox4x32-10, a counter-based generator: four random words are a pure function of (key,
// counter). Source: J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
#pragma once
#include "kernels/stream.h"

namespace ab {

struct Random4 {
  uint32_t x, y, z, w;
};

// key: 64 bits (a seed); counter: 128 bits as two words, for example (stream of numbers, index).
AB_FN Random4 philox(uint64_t key, uint64_t counter_high, uint64_t counter_low) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  Random4 c{static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
            static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c.x, p1 = uint64_t{0xCD9E8D57u} * c.z;
    c = {static_cast<uint32_t>(p1 >> 32) ^ c.y ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c.w ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// Uniform in [0, 1): the upper 24 bits, so that every value is exact in float.
AB_FN float uniform(uint32_t word) {
  return static_cast<float>(word >> 8) * 5.9604644775390625e-8f;
}

// What the numbers of one use depend on; the sample's place in the global batch is the caller's
// counter, so that a sample draws the same numbers whatever rank it lands on.
struct RandomKey {
  uint64_t seed = 0;
  uint64_t stream = 0;  // distinguishes layer and step
};

}  // namespace ab
