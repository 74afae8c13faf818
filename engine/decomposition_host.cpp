// W = U S V^T (AB-training, Eq. 3) on LAPACK, fp32; norms and sigma are summed in double.
//   gram: G = W^T W (n, n), ssyevd gives V; U S = W V, and sigma_j = |W v_j| instead of
//   sqrt(lambda_j):
//         its error is of second order in that of v_j. Heavy products go through the gemm seam.
//   full: sgesdd, then sgesvd where divide and conquer refuses.
// A row-major (m, n) matrix is a column-major (n, m) one: LAPACK is asked for the SVD of W^T = V S
// U^T, whose "U" is V by columns, our V^T by rows, and whose "V^T" by columns is our U by rows. No
// transpose. LAPACK runs on the calling thread alone (OpenBLAS is told so; the reference library
// knows no other way), so that ranks that are threads do not crowd each other and the bits do not
// depend on them.
#include "engine/decomposition_host.h"

#include <dlfcn.h>
#include <lapacke.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "engine/error.h"
#include "engine/gemm.h"

namespace ab {
namespace {

void use_one_blas_thread() {
  [[maybe_unused]] static const bool done = [] {
    void* set = dlsym(RTLD_DEFAULT, "openblas_set_num_threads");
    if (set) reinterpret_cast<void (*)(int)>(set)(1);
    return true;
  }();
}

double sum_of_squares(const float* x, int64_t n) {
  double total = 0.0;
#pragma omp simd reduction(+ : total)
  for (int64_t i = 0; i < n; ++i) total += static_cast<double>(x[i]) * x[i];
  return total;
}

// Of each column of x (rows, columns): the sum of squares and the entry of largest magnitude.
void scan_columns(const float* x, int64_t rows, int64_t columns, std::vector<double>& squares,
                  std::vector<float>& peaks) {
  squares.assign(columns, 0.0);
  peaks.assign(columns, 0.0f);
  double* square = squares.data();
  float* peak = peaks.data();
  for (int64_t i = 0; i < rows; ++i) {
    const float* row = x + i * columns;
#pragma omp simd
    for (int64_t j = 0; j < columns; ++j) {
      square[j] += static_cast<double>(row[j]) * row[j];
      peak[j] = std::fabs(row[j]) > std::fabs(peak[j]) ? row[j] : peak[j];
    }
  }
}

float* values(const Tensor& t) {
  return t.data().as<float>();
}

// LAPACK reports a bad argument as a negative number: our mistake, not the matrix's.
bool converged(const char* driver, lapack_int info) {
  if (info < 0)
    throw DeviceError(std::string("LAPACK ") + driver + " refused argument " +
                      std::to_string(-info));
  return info == 0;
}

}  // namespace

Factors HostDecomposition::decompose(Stream stream, Arena& arena, const Tensor& w, float cutoff,
                                     SvdRoute route) {
  const auto start = std::chrono::steady_clock::now();
  check_decomposition(w, cutoff);
  use_one_blas_thread();
  Spectrum spectrum;
  if (dry_) {
    gram(stream, arena, w, cutoff, spectrum);
    return cut(stream, arena, w, 1.0, cutoff, spectrum);
  }
  const double energy = sum_of_squares(values(w), w.elements());
  if (!std::isfinite(energy))
    throw NonFiniteError("decompose: the matrix " + w.shape().text() + " is not finite");
  const bool gram_first =
      route == SvdRoute::kGram || (route == SvdRoute::kAuto && cutoff >= kGramCutoff);
  if (!(gram_first && gram(stream, arena, w, cutoff, spectrum)) &&
      !full(arena, w, true, spectrum) && !full(arena, w, false, spectrum) &&
      !(!gram_first && gram(stream, arena, w, cutoff, spectrum)))
    throw DeviceError("decompose: neither ssyevd, sgesdd nor sgesvd converged for " +
                      w.shape().text());
  Factors factors = cut(stream, arena, w, energy, cutoff, spectrum);
  factors.report.ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return factors;
}

// The lower half of G = W^T W as LAPACK sees it, columns before rows: our rows from the diagonal
// on, a block of them at a time, for little more than half of the products. The rest is not
// written.
void HostDecomposition::multiply_gram(Stream stream, Arena& arena, const Tensor& w,
                                      const Tensor& g) {
  constexpr int64_t kBlock = 512;
  const int64_t m = w.shape()[0], n = w.shape()[1];
  for (int64_t first = 0; first < n; first += kBlock) {
    const DevicePtr columns = w.data().plus_bytes(static_cast<size_t>(first) * sizeof(float));
    GemmArguments product;
    product.m = std::min(kBlock, n - first), product.n = n - first, product.k = m;
    product.a = {columns, n, true};
    product.b = {columns, n, false};
    product.c = {g.data().plus_bytes(static_cast<size_t>(first * (n + 1)) * sizeof(float)), n,
                 false};
    device_.gemm().multiply(stream, arena, product);
  }
}

bool HostDecomposition::gram(Stream stream, Arena& arena, const Tensor& w, float cutoff,
                             Spectrum& spectrum) {
  const int64_t m = w.shape()[0], n = w.shape()[1];
  const lapack_int order = static_cast<lapack_int>(n);
  Tensor vectors = float_matrix(arena, n, n);
  multiply_gram(stream, arena, w, vectors);
  // Sizes from LAPACK's documentation of ssyevd with eigenvectors.
  const lapack_int work_size = 1 + 6 * order + 2 * order * order, integers = 3 + 5 * order;
  Tensor lambda = float_matrix(arena, 1, n), work = float_matrix(arena, 1, work_size);
  Tensor integer_work(arena, {integers}, DType::kInt32);
  int64_t terms = n;
  if (!dry_) {
    for (int64_t j = 0; j < n; ++j)  // overflow: |g_ij|^2 <= g_ii g_jj
      if (!std::isfinite(values(vectors)[j * (n + 1)])) return false;
    const lapack_int info = LAPACKE_ssyevd_work(LAPACK_COL_MAJOR, 'V', 'L', order, values(vectors),
                                                order, values(lambda), values(work), work_size,
                                                integer_work.data().as<lapack_int>(), integers);
    // lambda ascends. Terms clearly below the cut are left out; the exact cut is made on |W v|.
    const float* l = values(lambda);
    if (!converged("ssyevd", info) || !(l[n - 1] > kLeastLambda)) return false;
    const float limit = 0.8f * cutoff * cutoff * l[n - 1];
    terms = std::max<int64_t>(1, l + n - std::upper_bound(l, l + n, limit));
    for (int64_t j = n - 1; j >= 0; --j) spectrum.sigma.push_back(std::sqrt(std::max(0.0f, l[j])));
  }
  spectrum.right = float_matrix(arena, terms, n);
  spectrum.left = float_matrix(arena, m, terms);
  if (!dry_)
    for (int64_t j = 0; j < terms; ++j)
      std::memcpy(values(spectrum.right) + j * n, values(vectors) + (n - 1 - j) * n,
                  n * sizeof(float));
  multiply(arena, stream, w, false, spectrum.right, true, spectrum.left);
  spectrum.left_has_sigma = true;
  spectrum.driver = "gram";
  return true;
}

bool HostDecomposition::full(Arena& arena, const Tensor& w, bool divide_and_conquer,
                             Spectrum& spectrum) {
  const int64_t m = w.shape()[0], n = w.shape()[1];
  const lapack_int rows = static_cast<lapack_int>(n), columns = static_cast<lapack_int>(m);
  Tensor copy = float_matrix(arena, m, n), sigma = float_matrix(arena, 1, n);
  Tensor right = float_matrix(arena, n, n), left = float_matrix(arena, m, n);
  Tensor integer_work(arena, {8 * n}, DType::kInt32);
  std::memcpy(values(copy), values(w), w.bytes());
  const auto call = [&](float* work, lapack_int size) {
    return divide_and_conquer
               ? LAPACKE_sgesdd_work(LAPACK_COL_MAJOR, 'S', rows, columns, values(copy), rows,
                                     values(sigma), values(right), rows, values(left), rows, work,
                                     size, integer_work.data().as<lapack_int>())
               : LAPACKE_sgesvd_work(LAPACK_COL_MAJOR, 'S', 'S', rows, columns, values(copy), rows,
                                     values(sigma), values(right), rows, values(left), rows, work,
                                     size);
  };
  const char* driver = divide_and_conquer ? "gesdd" : "gesvd";
  float best_size = 0.0f;
  converged(driver, call(&best_size, -1));
  // The size comes back as a float: one more unit in its last place, so that rounding cannot cut
  // it.
  Tensor work = float_matrix(arena, 1, static_cast<int64_t>(std::nextafter(best_size, 3e38f)) + 1);
  if (!converged(driver, call(values(work), static_cast<lapack_int>(work.elements()))))
    return false;
  spectrum.left = left;
  spectrum.right = right;
  spectrum.sigma.assign(values(sigma), values(sigma) + n);
  spectrum.left_has_sigma = false;
  spectrum.driver = driver;
  return true;
}

Factors HostDecomposition::cut(Stream stream, Arena& arena, const Tensor& w, double energy,
                               float cutoff, const Spectrum& spectrum) {
  const int64_t m = w.shape()[0], n = w.shape()[1], terms = spectrum.left.shape()[1];
  std::vector<double> sigma(terms, 1.0), squares;
  std::vector<float> peaks(terms, 1.0f);
  if (!dry_) {
    scan_columns(values(spectrum.left), m, terms, squares, peaks);
    for (int64_t j = 0; j < terms; ++j)
      sigma[j] = spectrum.left_has_sigma ? std::sqrt(squares[j]) : spectrum.sigma[j];
  }
  const double sigma_max = *std::max_element(sigma.begin(), sigma.end());
  const std::vector<int64_t> kept = kept_terms(sigma, cutoff);
  const int64_t k = static_cast<int64_t>(kept.size());

  Factors factors{float_matrix(arena, m, k), float_matrix(arena, k, n), {}};
  Tensor difference = float_matrix(arena, m, n);
  double kept_energy = 0.0;
  if (!dry_) {
    std::vector<float> scale(k);
    for (int64_t c = 0; c < k; ++c) {
      const int64_t j = kept[c];
      const double root = std::sqrt(sigma[j]), sign = peaks[j] < 0.0f ? -1.0 : 1.0;
      const double left = spectrum.left_has_sigma ? (root > 0.0 ? 1.0 / root : 0.0) : root;
      scale[c] = static_cast<float>(sign * left);
      kept_energy += sigma[j] * sigma[j];
      const float right = static_cast<float>(sign * root);
      for (int64_t i = 0; i < n; ++i)
        values(factors.b)[c * n + i] = right * values(spectrum.right)[j * n + i];
    }
    for (int64_t i = 0; i < m; ++i)
      for (int64_t c = 0; c < k; ++c)
        values(factors.a)[i * k + c] = scale[c] * values(spectrum.left)[i * terms + kept[c]];
    std::memcpy(values(difference), values(w), w.bytes());
  }
  multiply(arena, stream, factors.a, false, factors.b, false, difference, -1.0f);
  DecompositionReport& report = factors.report;
  report.m = m, report.n = n, report.k = k;
  report.driver = spectrum.driver;
  if (dry_) return factors;
  report.sigma_max = static_cast<float>(sigma_max);
  std::vector<double> all = spectrum.sigma;
  std::copy(sigma.begin(), sigma.end(), all.begin());
  report.spectrum = sample_spectrum(std::move(all));
  if (energy > 0.0) {
    report.energy_lost = static_cast<float>(std::max(0.0, 1.0 - kept_energy / energy));
    report.residual =
        static_cast<float>(std::sqrt(sum_of_squares(values(difference), m * n) / energy));
  }
  if (!std::isfinite(report.residual) || !std::isfinite(report.sigma_max))
    throw NonFiniteError("decompose: the factors of " + w.shape().text() + " are not finite");
  return factors;
}

}  // namespace ab
