// Fisher-Yates on Philox numbers (R. Durstenfeld, "Algorithm 235", CACM 7, 1964).
//   for i = n-1 ... 1: swap p[i] with p[j], j uniform in [0, i]
// Draw number d is the (d mod 2)-th 64-bit half of Philox(seed, stream, d/2), its first word in the
// lower bits. Unbiased: draws below 2^64 mod (i+1) are thrown away, which leaves every remainder
// equally many draws.
#include "engine/random_permutation.h"

#include <numeric>
#include <utility>

#include "kernels/philox.h"

namespace ab {
namespace {

class Draws {
 public:
  Draws(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  // Uniform in [0, bound).
  uint64_t below(uint64_t bound) {
    const uint64_t surplus = (0 - bound) % bound;  // 2^64 mod bound
    uint64_t draw = next();
    while (draw < surplus) draw = next();
    return draw % bound;
  }

 private:
  uint64_t next() {
    if (drawn_ % 2 == 0) words_ = philox(seed_, stream_, drawn_ / 2);
    return drawn_++ % 2 == 0 ? uint64_t{words_.y} << 32 | words_.x
                             : uint64_t{words_.w} << 32 | words_.z;
  }

  uint64_t seed_, stream_, drawn_ = 0;
  Random4 words_{};
};

}  // namespace

std::vector<int64_t> random_permutation(int64_t n, uint64_t seed, uint64_t stream) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  Draws draws(seed, stream);
  for (size_t i = order.size(); i-- > 1;) std::swap(order[i], order[draws.below(i + 1)]);
  return order;
}

}  // namespace ab
