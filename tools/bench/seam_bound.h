// How far a vendor's product may be from its float64 reference; the one place where tolerances of
// matrix products and convolutions come from. A sum of n products in fp32, in any order, is off by
// less than (n + 2) 2^-23 sum |terms|; storing a number in bf16 (8 bits of significand) is off by
// at most 2^-8 of it. So a reference carries the sum of magnitudes beside the value, and what was
// stored on the way to it.
#pragma once
#include <cmath>

#include "kernels/stream.h"

namespace ab {

constexpr double kBFloat16Roundoff = 0x1p-8;

struct Sum {
  double value = 0.0, magnitude = 0.0;
  double stored = 0.0;  // a partial sum that was stored in bf16 on the way, or 0
  void add(double term) {
    value += term;
    magnitude += std::fabs(term);
  }
};

// Largest |result - sum.value| for a sum of `terms` terms whose result is stored in `dtype`.
inline double allowed_error(const Sum& sum, int64_t terms, DType dtype) {
  double allowed = static_cast<double>(terms + 2) * 0x1p-23 * sum.magnitude + 1e-30;
  allowed += kBFloat16Roundoff * std::fabs(sum.stored);
  if (dtype == DType::kBFloat16) allowed += kBFloat16Roundoff * std::fabs(sum.value);
  return allowed;
}

}  // namespace ab
