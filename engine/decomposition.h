// Seam: truncated factorisation of a matrix, W (m, n) = U S V^T with m >= n, fp32.
//   host: LAPACK.   cuda: cuSOLVER.
// Keeps every sigma strictly greater than cutoff * sigma_max, at least one:
//   A = U S^1/2 (m, k),  B = S^1/2 V^T (k, n)          (AB-training, Eq. 3)
// Signs: the entry of largest magnitude in each column of U is positive (the first of equals).
// Routes: the eigen-decomposition of the Gram matrix W^T W (accurate for sigma > 0.05 sigma_max,
// and 4 to 7 times faster), or the full SVD below that cutoff or when asked.
#pragma once
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace ab {

enum class SvdRoute : uint8_t { kAuto, kGram, kFull };

struct DecompositionReport {
  int64_t m = 0, n = 0, k = 0;
  float sigma_max = 0.0f;
  float energy_lost = 0.0f;  // 1 - sum of kept sigma^2 / sum of all sigma^2
  float residual = 0.0f;     // |W - A B| / |W|, Frobenius
  std::string driver;        // "gram", "gesdd", "gesvd", "gesvdj"
  double ms = 0.0;
  // sigma_j / sigma_max at j = spectrum_places(n), of the whole matrix, before the cut. The Gram
  // route sees sigma^2 in fp32: below about 1e-3 its values are rounding.
  std::vector<float> spectrum;
};

// At most kSpectrumPoints places of n descending singular values, counted from 1 and spread evenly
// in log j: round(n^(i / 31)), i = 0..31, each once. The first is 1, the last n.
constexpr int kSpectrumPoints = 32;
std::vector<int64_t> spectrum_places(int64_t n);
// sigma / the largest at those places; sigma in any order, all zeros give zeros.
std::vector<float> sample_spectrum(std::vector<double> sigma);

struct Factors {
  Tensor a, b;  // (m, k), (k, n), memory of the arena
  DecompositionReport report;
};

// Routes by Gram matrix from this cutoff on.
constexpr float kGramCutoff = 0.05f;
// Below this eigenvalue of the Gram matrix squares vanish: the full route scales instead.
constexpr float kLeastLambda = 1e-30f;
// Throws std::invalid_argument unless w is an fp32 matrix with m >= n and 0 <= cutoff < 1.
void check_decomposition(const Tensor& w, float cutoff);
// The places of every sigma strictly greater than cutoff times the largest, at least one.
std::vector<int64_t> kept_terms(const std::vector<double>& sigma, float cutoff);

// (rows, columns), fp32, not filled.
inline Tensor float_matrix(Arena& arena, int64_t rows, int64_t columns) {
  return Tensor(arena, {rows, columns}, DType::kFloat32);
}

class Decomposition {
 public:
  virtual ~Decomposition() = default;
  // w (m, n) is not changed. Throws NonFiniteError (input or result not finite) and DeviceError (no
  // route converged); the caller adds the layer's name.
  virtual Factors decompose(Stream stream, Arena& arena, const Tensor& w, float cutoff,
                            SvdRoute route) = 0;
};

}  // namespace ab
