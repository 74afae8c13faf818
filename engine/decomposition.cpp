#include "engine/decomposition.h"

#include <algorithm>
#include <cmath>
#include <functional>
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

std::vector<int64_t> spectrum_places(int64_t n) {
  std::vector<int64_t> places;
  for (int i = 0; i < kSpectrumPoints; ++i) {
    const double share = static_cast<double>(i) / (kSpectrumPoints - 1);
    const int64_t place = std::llround(std::pow(static_cast<double>(n), share));
    if (places.empty() || place > places.back()) places.push_back(place);
  }
  return places;
}

std::vector<float> sample_spectrum(std::vector<double> sigma) {
  std::sort(sigma.begin(), sigma.end(), std::greater<>());
  std::vector<float> sampled;
  for (const int64_t place : spectrum_places(static_cast<int64_t>(sigma.size())))
    sampled.push_back(sigma[0] > 0.0
                          ? static_cast<float>(sigma[static_cast<size_t>(place - 1)] / sigma[0])
                          : 0.0f);
  return sampled;
}

}  // namespace ab
