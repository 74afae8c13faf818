#include "engine/decomposition.h"

#include <algorithm>
#include <stdexcept>

namespace ab {

void check_decomposition(const Tensor& w, float cutoff) {
  if (w.shape().rank() != 2 || w.shape()[0] < w.shape()[-1] || w.shape()[-1] < 1 ||
      w.dtype() != DType::kFloat32)
    throw std::invalid_argument("decompose: needs an fp32 matrix (m, n) with m >= n, got " +
                                w.shape().text() + " " + name_of(w.dtype()));
  if (!(cutoff >= 0.0f && cutoff < 1.0f))
    throw std::invalid_argument("decompose: the cutoff must lie in [0, 1), got " +
                                std::to_string(cutoff));
}

std::vector<int64_t> kept_terms(const std::vector<double>& sigma, float cutoff) {
  const double limit = static_cast<double>(cutoff) * *std::max_element(sigma.begin(), sigma.end());
  std::vector<int64_t> kept;
  for (size_t j = 0; j < sigma.size(); ++j)
    if (sigma[j] > limit) kept.push_back(static_cast<int64_t>(j));
  if (kept.empty()) kept.push_back(0);
  return kept;
}

}  // namespace ab
