#include "tests/standin/product.h"

namespace ab::standin {
namespace {

std::vector<float> packed(int64_t rows, int64_t columns, const Strided& x) {
  std::vector<float> all(static_cast<size_t>(rows * columns));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) all[i * columns + j] = x.get(i, j);
  return all;
}

}  // namespace

void product(int64_t m, int64_t n, int64_t k, float alpha, const Strided& a, const Strided& b,
             float beta, const Strided& c, const Strided& d, const std::vector<float>& bias) {
  const std::vector<float> left = packed(m, k, a), right = packed(k, n, b);
  std::vector<float> sums(static_cast<size_t>(n));
  for (int64_t i = 0; i < m; ++i) {
    sums.assign(sums.size(), 0.0f);
    float* const sum = sums.data();
    for (int64_t l = 0; l < k; ++l) {
      const float factor = left[i * k + l];
      const float* const row = right.data() + l * n;
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) sum[j] += factor * row[j];
    }
    const float offset = bias.empty() ? 0.0f : bias[i];
    for (int64_t j = 0; j < n; ++j)
      d.set(i, j, alpha * sum[j] + (beta != 0.0f ? beta * c.get(i, j) : 0.0f) + offset);
  }
}

}  // namespace ab::standin
