// Rows of the decomposition seam, on matrices whose singular values are known.
//   W = (I - 2 p p^T) D (I - 2 q q^T), D (m, n) with sigma_j on its diagonal, |p| = |q| = 1: two
//   reflections, so that sigma is exact but for the rounding of W to fp32, which moves each by at
//   most |rounding|_2 <= 2^-24 |W|_F.
// Operations, to leading order (Golub and Van Loan, Matrix Computations, 4th edition): Gram route
// 2 m n^2 for the product, 9 n^3 for the eigen-decomposition (8.3) and 2 m n k for U S; full route
// 6 m n^2 + 20 n^3 (R-SVD with U and V, 8.6); both 2 m n k for the residual.
#include <algorithm>
#include <cmath>

#include "tools/bench/seam_case.h"

namespace ab {
namespace {

constexpr double kDecay = 0.98;

std::vector<double> spectrum(int64_t n) {
  std::vector<double> sigma(static_cast<size_t>(n));
  for (int64_t j = 0; j < n; ++j) sigma[j] = std::pow(kDecay, static_cast<double>(j));
  return sigma;
}

// A unit vector without zeros.
std::vector<double> direction(int64_t n, double phase) {
  std::vector<double> v(static_cast<size_t>(n));
  double squares = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    v[i] = 1.0 + 0.5 * std::sin(static_cast<double>(i) + phase);
    squares += v[i] * v[i];
  }
  for (double& x : v) x /= std::sqrt(squares);
  return v;
}

// W_ij = D_ij - 2 p_i (p^T D)_j - 2 (D q)_i q_j + 4 p_i (p^T D q) q_j
void fill(int64_t m, int64_t n, std::vector<float>& w) {
  const std::vector<double> sigma = spectrum(n), p = direction(m, 0.0), q = direction(n, 1.0);
  double middle = 0.0;
  for (int64_t j = 0; j < n; ++j) middle += p[j] * sigma[j] * q[j];
  for (int64_t i = 0; i < m; ++i) {
    const double dq = i < n ? sigma[i] * q[i] : 0.0;
    for (int64_t j = 0; j < n; ++j) {
      const double value = (i == j ? sigma[j] : 0.0) - 2.0 * p[i] * p[j] * sigma[j] -
                           2.0 * dq * q[j] + 4.0 * p[i] * middle * q[j];
      w[i * n + j] = static_cast<float>(value);
    }
  }
}

struct Known {
  int64_t k = 0;
  double residual = 0.0;  // sqrt of the share of energy below the cut
};

Known known(int64_t n, float cutoff) {
  Known result;
  double kept = 0.0, lost = 0.0;
  for (const double sigma : spectrum(n)) {
    const bool keeps = sigma > static_cast<double>(cutoff);  // sigma_max is 1
    result.k += keeps;
    (keeps ? kept : lost) += sigma * sigma;
  }
  result.residual = std::sqrt(lost / (kept + lost));
  return result;
}

}  // namespace

SeamCase decomposition_case(int64_t m, int64_t n, SvdRoute route, float cutoff) {
  const bool gram = route == SvdRoute::kGram;
  const Known expected = known(n, cutoff);
  SeamCase c = seam_case(gram ? "decompose_gram" : "decompose_full",
                         "(" + std::to_string(m) + ", " + std::to_string(n) + ")", DType::kFloat32,
                         {{m * n, DType::kFloat32}});
  const double rows = static_cast<double>(m), columns = static_cast<double>(n);
  const double kept = static_cast<double>(expected.k);
  c.bytes += 4.0 * (rows + columns) * kept;  // A and B
  c.flops = gram ? 2.0 * rows * columns * columns + 9.0 * std::pow(columns, 3.0) +
                       2.0 * rows * columns * kept
                 : 6.0 * rows * columns * columns + 20.0 * std::pow(columns, 3.0);
  c.flops += 2.0 * rows * columns * kept;
  const auto decompose = [=](Device& device, Arena& arena, std::span<const DevicePtr> p) {
    return device.decomposition()
        .decompose(device.stream(), arena, Tensor(p[0], {m, n}, DType::kFloat32), cutoff, route)
        .report;
  };
  c.run = [=](Device& device, Arena& arena, std::span<const DevicePtr> p) {
    decompose(device, arena, p);
  };
  c.prepare = [=](SeamValues& v) { fill(m, n, v[0]); };
  // Backward stability: sigma is off by a modest multiple of 2^-23 sigma_max; n is that multiple.
  c.holds = [=](Device& device, Arena& arena, std::span<const DevicePtr> p) {
    const DecompositionReport report = decompose(device, arena, p);
    const double bound = static_cast<double>(n + 3) * 0x1p-23;
    return report.k == expected.k && (report.driver == "gram") == gram &&
           std::fabs(report.sigma_max - 1.0) <= bound &&
           std::fabs(report.residual - expected.residual) <= bound;
  };
  return c;
}

}  // namespace ab
