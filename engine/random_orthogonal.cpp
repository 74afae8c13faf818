#include "engine/random_orthogonal.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "engine/random_permutation.h"
#include "kernels/philox.h"

namespace ab {
namespace {

constexpr int kMixing = 12;
constexpr int kTogether = 16;  // columns that are turned together: a cache line a row

struct Rotation {
  int32_t first, second;  // rows
  float cosine, sine;
};

// The rotations of a layer, no row twice; of an odd number of rows one sits out. Angles take
// Philox's numbers behind those of the permutation.
void add_layer(uint64_t seed, uint64_t stream, int64_t n, bool spreading,
               std::vector<Rotation>& rotations) {
  const std::vector<int64_t> order = random_permutation(n, seed, stream);
  for (int64_t i = 0; i + 1 < n; i += 2) {
    const Random4 random = philox(seed, stream, static_cast<uint64_t>(n + i));
    const double angle = 2.0 * std::numbers::pi * (spreading ? 0.125 : random.x / 4294967296.0);
    rotations.push_back({static_cast<int32_t>(order[i]), static_cast<int32_t>(order[i + 1]),
                         static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
  }
}

std::vector<Rotation> walk(uint64_t seed, uint64_t stream, int64_t n) {
  std::vector<Rotation> rotations;
  const int spreading = std::bit_width(static_cast<uint64_t>(n - 1));
  rotations.reserve(static_cast<size_t>(n / 2 * (spreading + kMixing)));
  for (int layer = 0; layer < spreading + kMixing; ++layer)
    add_layer(seed, stream << 8 | static_cast<uint64_t>(layer), n, layer < spreading, rotations);
  return rotations;
}

// panel (n, kTogether)
void turn(const std::vector<Rotation>& rotations, float* panel) {
  for (const Rotation& r : rotations) {
    float* const x = panel + int64_t{kTogether} * r.first;
    float* const y = panel + int64_t{kTogether} * r.second;
#pragma omp simd
    for (int c = 0; c < kTogether; ++c) {
      const float a = x[c], b = y[c];
      x[c] = r.cosine * a + r.sine * b;
      y[c] = r.cosine * b - r.sine * a;
    }
  }
}

}  // namespace

void random_orthogonal(uint64_t seed, uint64_t stream, int64_t rows, int64_t columns, float* w) {
  const int64_t n = std::max(rows, columns), vectors = std::min(rows, columns);
  const std::vector<Rotation> rotations = walk(seed, stream, n);
#pragma omp parallel
  {
    std::vector<float> panel(static_cast<size_t>(n * kTogether));
#pragma omp for schedule(static)
    for (int64_t first = 0; first < vectors; first += kTogether) {
      const int64_t width = std::min<int64_t>(kTogether, vectors - first);
      std::fill(panel.begin(), panel.end(), 0.0f);
      for (int64_t c = 0; c < width; ++c) panel[(first + c) * kTogether + c] = 1.0f;
      turn(rotations, panel.data());
      for (int64_t i = 0; i < n; ++i)
        for (int64_t c = 0; c < width; ++c)
          w[rows >= columns ? i * columns + first + c : (first + c) * columns + i] =
              panel[i * kTogether + c];
    }
  }
}

}  // namespace ab
