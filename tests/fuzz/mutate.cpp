// 10,000 mutations of a target's valid inputs, the same in every run: one to three bytes
// overwritten, every eighth time the end cut off. Fails when a valid input is refused, when no
// mutation is, or when the process ever held more than 1 GiB.
#include <sys/resource.h>

#include <algorithm>

#include "kernels/philox.h"
#include "tests/fuzz/target.h"

namespace ab::fuzz {
namespace {

constexpr int kMutations = 10000;
constexpr long kMostKilobytes = 1 << 20;

Bytes mutated(const Bytes& bytes, uint64_t number) {
  Bytes result = bytes;
  for (uint64_t i = 0; i <= number % 3; ++i) {
    const Random4 random = philox(99, i, number);
    // Half of the hits go to the first 64 bytes, where the headers are.
    const size_t range = random.z % 2 ? result.size() : std::min<size_t>(result.size(), 64);
    result[random.x % range] = static_cast<uint8_t>(random.y);
  }
  if (number % 8 == 7) result.resize(philox(98, 0, number).x % result.size());
  return result;
}

int run() {
  const std::vector<Bytes> valid = seeds();
  for (const Bytes& seed : valid) ensure(read_untrusted(seed), "a valid input was refused");
  int read = 0;
  for (int i = 0; i < kMutations; ++i)
    read += read_untrusted(
        mutated(valid[static_cast<size_t>(i) % valid.size()], static_cast<uint64_t>(i)));
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%d mutations: %d read, %d refused, %ld MB held at most\n", kMutations, read,
              kMutations - read, usage.ru_maxrss / 1024);
  ensure(read < kMutations, "no mutation was refused");
  ensure(usage.ru_maxrss < kMostKilobytes, "more than 1 GiB was held");
  return 0;
}

}  // namespace
}  // namespace ab::fuzz

int main() {
  return ab::fuzz::run();
}
