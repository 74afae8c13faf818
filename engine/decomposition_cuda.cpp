// W = U S V^T (AB-training, Eq. 3) on cuSOLVER, fp32; lengths of columns are summed in double.
//   gram: G = W^T W (n, n), syevd gives V; U S = W V, and sigma_j = |W v_j| instead of
//         sqrt(lambda_j): its error is of second order in that of v_j.
//   full: gesvdj (Jacobi) up to kJacobiColumns columns, gesvd (QR) above; each stands in for the
//         other where it does not converge.
// cuSOLVER wants column-major matrices with m >= n: a row-major (n, m) transpose is one, and the
// column-major results are our transposes in turn. Products keep full fp32 whatever device.tf32
// says.
#include "engine/decomposition_cuda.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "engine/gemm.h"
#include "kernels/spectrum.h"
#include "kernels/transpose.h"

namespace ab {
namespace {

constexpr int64_t kJacobiColumns = 64;
constexpr double kJacobiTolerance = 1e-7;
constexpr int kJacobiSweeps = 100;

void check_cusolver(cusolverStatus_t status, const char* call) {
  if (status != CUSOLVER_STATUS_SUCCESS)
    cuda::vendor_failed(call, "cusolverStatus_t " + std::to_string(static_cast<int>(status)));
}
#define AB_CUSOLVER(call) check_cusolver(call, #call)

void* address(const Tensor& t) {
  return t.data().as<void>();
}
float* floats(const Tensor& t) {
  return t.data().as<float>();
}

Tensor transposed(Stream stream, Arena& arena, const Tensor& x) {
  Tensor y = float_matrix(arena, x.shape()[1], x.shape()[0]);
  transpose(stream, DType::kFloat32, x.shape()[0], x.shape()[1], x.data(), y.data());
  return y;
}

// Products in full fp32 for as long as this lives.
class FullPrecision {
 public:
  explicit FullPrecision(Device& device) : device_(device), tf32_(device.tf32) {
    device_.tf32 = false;
  }
  ~FullPrecision() { device_.tf32 = tf32_; }
  FullPrecision(const FullPrecision&) = delete;

 private:
  Device& device_;
  bool tf32_;
};

}  // namespace

template <class T>
std::vector<T> CudaDecomposition::read(const Place& at, const Tensor& from) {
  std::vector<T> values(static_cast<size_t>(from.elements()));
  device_.runtime().copy_to_host(at.stream, values.data(), from.data(), from.bytes());
  return values;
}

template <class T>
Tensor CudaDecomposition::write(const Place& at, const std::vector<T>& values, DType dtype) {
  Tensor to(at.arena, {static_cast<int64_t>(values.size())}, dtype);
  device_.runtime().copy_to_device(at.stream, to.data(), values.data(), to.bytes());
  return to;
}

double CudaDecomposition::energy_of(const Place& at, const Tensor& x) {
  const int64_t columns = x.shape()[1];
  const Tensor squares(at.arena, {columns}, DType::kFloat64),
      peaks = float_matrix(at.arena, 1, columns);
  scan_columns(at.stream, x.shape()[0], columns, x.data(), squares.data(), peaks.data());
  const std::vector<double> sums = read<double>(at, squares);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

bool CudaDecomposition::converged(const Place& at, const Tensor& info, const char* driver) {
  const int32_t value = read<int32_t>(at, info)[0];
  if (value < 0)
    throw DeviceError(std::string("cuSOLVER ") + driver + " refused argument " +
                      std::to_string(-value));
  return value == 0;
}

void CudaDecomposition::open(Stream stream) {
  if (!library_.get()) {
    AB_CUSOLVER(cusolverDnCreate(library_.slot()));
    AB_CUSOLVER(cusolverDnCreateParams(settings_.slot()));
    AB_CUSOLVER(cusolverDnCreateGesvdjInfo(jacobi_.slot()));
    AB_CUSOLVER(cusolverDnXgesvdjSetTolerance(jacobi_.get(), kJacobiTolerance));
    AB_CUSOLVER(cusolverDnXgesvdjSetMaxSweeps(jacobi_.get(), kJacobiSweeps));
  }
  AB_CUSOLVER(cusolverDnSetStream(library_.get(), static_cast<cudaStream_t>(stream.handle)));
}

Factors CudaDecomposition::decompose(Stream stream, Arena& arena, const Tensor& w, float cutoff,
                                     SvdRoute route) {
  const auto start = std::chrono::steady_clock::now();
  check_decomposition(w, cutoff);
  open(stream);
  const FullPrecision precision(device_);
  const Place at{stream, arena};
  const double energy = energy_of(at, w);
  if (!std::isfinite(energy))
    throw NonFiniteError("decompose: the matrix " + w.shape().text() + " is not finite");
  Spectrum spectrum;
  const auto full = [&] {
    return w.shape()[1] <= kJacobiColumns
               ? full_jacobi(at, w, spectrum) || full_qr(at, w, spectrum)
               : full_qr(at, w, spectrum) || full_jacobi(at, w, spectrum);
  };
  const bool gram_first =
      route == SvdRoute::kGram || (route == SvdRoute::kAuto && cutoff >= kGramCutoff);
  const bool found = gram_first ? gram(at, w, cutoff, spectrum) || full()
                                : full() || gram(at, w, cutoff, spectrum);
  if (!found)
    throw DeviceError("decompose: neither syevd, gesvd nor gesvdj converged for " +
                      w.shape().text());
  Factors factors = cut(at, w, energy, cutoff, spectrum);
  factors.report.ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return factors;
}

bool CudaDecomposition::gram(const Place& at, const Tensor& w, float cutoff, Spectrum& spectrum) {
  const int64_t m = w.shape()[0], n = w.shape()[1];
  const Tensor vectors = float_matrix(at.arena, n, n), lambda = float_matrix(at.arena, 1, n);
  const Tensor info(at.arena, {1}, DType::kInt32);
  multiply(at.arena, at.stream, w, true, w, false, vectors);
  if (!std::isfinite(energy_of(at, vectors))) return false;  // overflow
  size_t on_device = 0, on_host = 0;
  AB_CUSOLVER(cusolverDnXsyevd_bufferSize(library_.get(), settings_.get(), CUSOLVER_EIG_MODE_VECTOR,
                                          CUBLAS_FILL_MODE_LOWER, n, CUDA_R_32F, address(vectors),
                                          n, CUDA_R_32F, address(lambda), CUDA_R_32F, &on_device,
                                          &on_host));
  const cuda::Workspace workspace(at.arena, on_device);
  std::vector<char> host_workspace(on_host);
  AB_CUSOLVER(cusolverDnXsyevd(
      library_.get(), settings_.get(), CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER, n,
      CUDA_R_32F, address(vectors), n, CUDA_R_32F, address(lambda), CUDA_R_32F, workspace.address(),
      on_device, host_workspace.data(), on_host, info.data().as<int32_t>()));
  // lambda ascends. Terms clearly below the cut are left out; the exact cut is made on |W v|.
  if (!converged(at, info, "syevd")) return false;
  const std::vector<float> l = read<float>(at, lambda);
  if (!(l.back() > kLeastLambda)) return false;
  const float limit = 0.8f * cutoff * cutoff * l.back();
  const int64_t terms = std::max<int64_t>(1, l.end() - std::upper_bound(l.begin(), l.end(), limit));
  for (auto value = l.rbegin(); value != l.rend(); ++value)
    spectrum.sigma.push_back(std::sqrt(std::max(0.0f, *value)));
  std::vector<int32_t> places(static_cast<size_t>(terms));
  for (int64_t j = 0; j < terms; ++j)
    places[static_cast<size_t>(j)] = static_cast<int32_t>(n - 1 - j);
  const Tensor order = write(at, places, DType::kInt32);
  const Tensor ones = write(at, std::vector<float>(places.size(), 1.0f), DType::kFloat32);
  spectrum.right = float_matrix(at.arena, terms, n);
  spectrum.left = float_matrix(at.arena, m, terms);
  pick_rows(at.stream,
            {terms, n, n, vectors.data(), spectrum.right.data(), order.data(), ones.data()});
  multiply(at.arena, at.stream, w, false, spectrum.right, true, spectrum.left);
  spectrum.left_has_sigma = true;
  spectrum.driver = "gram";
  return true;
}

bool CudaDecomposition::full_qr(const Place& at, const Tensor& w, Spectrum& spectrum) {
  const int64_t m = w.shape()[0], n = w.shape()[1];
  const Tensor copy = transposed(at.stream, at.arena, w), sigma = float_matrix(at.arena, 1, n);
  const Tensor u = float_matrix(at.arena, n, m), vt = float_matrix(at.arena, n, n);
  const Tensor info(at.arena, {1}, DType::kInt32);
  size_t on_device = 0, on_host = 0;
  AB_CUSOLVER(cusolverDnXgesvd_bufferSize(library_.get(), settings_.get(), 'S', 'S', m, n,
                                          CUDA_R_32F, address(copy), m, CUDA_R_32F, address(sigma),
                                          CUDA_R_32F, address(u), m, CUDA_R_32F, address(vt), n,
                                          CUDA_R_32F, &on_device, &on_host));
  const cuda::Workspace workspace(at.arena, on_device);
  std::vector<char> host_workspace(on_host);
  AB_CUSOLVER(cusolverDnXgesvd(
      library_.get(), settings_.get(), 'S', 'S', m, n, CUDA_R_32F, address(copy), m, CUDA_R_32F,
      address(sigma), CUDA_R_32F, address(u), m, CUDA_R_32F, address(vt), n, CUDA_R_32F,
      workspace.address(), on_device, host_workspace.data(), on_host, info.data().as<int32_t>()));
  if (!converged(at, info, "gesvd")) return false;
  const std::vector<float> values = read<float>(at, sigma);
  spectrum.sigma.assign(values.begin(), values.end());
  spectrum.left = transposed(at.stream, at.arena, u);
  spectrum.right = transposed(at.stream, at.arena, vt);
  spectrum.left_has_sigma = false;
  spectrum.driver = "gesvd";
  return true;
}

bool CudaDecomposition::full_jacobi(const Place& at, const Tensor& w, Spectrum& spectrum) {
  const int m = static_cast<int>(w.shape()[0]), n = static_cast<int>(w.shape()[1]);
  const Tensor copy = transposed(at.stream, at.arena, w), sigma = float_matrix(at.arena, 1, n);
  const Tensor u = float_matrix(at.arena, n, m), v = float_matrix(at.arena, n, n);
  const Tensor info(at.arena, {1}, DType::kInt32);
  int size = 0;  // in floats
  AB_CUSOLVER(cusolverDnSgesvdj_bufferSize(library_.get(), CUSOLVER_EIG_MODE_VECTOR, 1, m, n,
                                           floats(copy), m, floats(sigma), floats(u), m, floats(v),
                                           n, &size, jacobi_.get()));
  const cuda::Workspace workspace(at.arena, static_cast<size_t>(size) * sizeof(float));
  AB_CUSOLVER(cusolverDnSgesvdj(library_.get(), CUSOLVER_EIG_MODE_VECTOR, 1, m, n, floats(copy), m,
                                floats(sigma), floats(u), m, floats(v), n,
                                static_cast<float*>(workspace.address()), size,
                                info.data().as<int32_t>(), jacobi_.get()));
  if (!converged(at, info, "gesvdj")) return false;
  const std::vector<float> values = read<float>(at, sigma);
  spectrum.sigma.assign(values.begin(), values.end());
  spectrum.left = transposed(at.stream, at.arena, u);
  spectrum.right = v;  // V by columns is V^T by rows
  spectrum.left_has_sigma = false;
  spectrum.driver = "gesvdj";
  return true;
}

Factors CudaDecomposition::cut(const Place& at, const Tensor& w, double energy, float cutoff,
                               const Spectrum& spectrum) {
  const int64_t m = w.shape()[0], n = w.shape()[1], terms = spectrum.left.shape()[1];
  const Tensor squares(at.arena, {terms}, DType::kFloat64),
      peaks = float_matrix(at.arena, 1, terms);
  scan_columns(at.stream, m, terms, spectrum.left.data(), squares.data(), peaks.data());
  const std::vector<double> lengths = read<double>(at, squares);
  const std::vector<float> signs = read<float>(at, peaks);
  std::vector<double> sigma = spectrum.sigma;
  if (spectrum.left_has_sigma) {
    sigma.resize(lengths.size());
    for (size_t j = 0; j < sigma.size(); ++j) sigma[j] = std::sqrt(lengths[j]);
  }
  std::vector<int32_t> places;
  std::vector<float> left_scale, right_scale;
  double kept_energy = 0.0;
  for (const int64_t j : kept_terms(sigma, cutoff)) {
    const double root = std::sqrt(sigma[j]), sign = signs[j] < 0.0f ? -1.0 : 1.0;
    const double left = spectrum.left_has_sigma ? (root > 0.0 ? 1.0 / root : 0.0) : root;
    places.push_back(static_cast<int32_t>(j));
    left_scale.push_back(static_cast<float>(sign * left));
    right_scale.push_back(static_cast<float>(sign * root));
    kept_energy += sigma[j] * sigma[j];
  }
  const int64_t k = static_cast<int64_t>(places.size());
  Factors factors{float_matrix(at.arena, m, k), float_matrix(at.arena, k, n), {}};
  const Tensor order = write(at, places, DType::kInt32);
  const Tensor left = write(at, left_scale, DType::kFloat32);
  const Tensor right = write(at, right_scale, DType::kFloat32);
  pick_columns(at.stream,
               {m, k, terms, spectrum.left.data(), factors.a.data(), order.data(), left.data()});
  pick_rows(at.stream,
            {k, n, n, spectrum.right.data(), factors.b.data(), order.data(), right.data()});
  const Tensor difference = float_matrix(at.arena, m, n);
  device_.runtime().copy(at.stream, difference.data(), w.data(), w.bytes());
  multiply(at.arena, at.stream, factors.a, false, factors.b, false, difference, -1.0f);
  DecompositionReport& report = factors.report;
  report.m = m, report.n = n, report.k = k;
  report.driver = spectrum.driver;
  report.sigma_max = static_cast<float>(*std::max_element(sigma.begin(), sigma.end()));
  std::vector<double> all = spectrum.sigma;
  std::copy(sigma.begin(), sigma.end(), all.begin());
  report.spectrum = sample_spectrum(std::move(all));
  if (energy > 0.0) {
    report.energy_lost = static_cast<float>(std::max(0.0, 1.0 - kept_energy / energy));
    report.residual = static_cast<float>(std::sqrt(energy_of(at, difference) / energy));
  }
  if (!std::isfinite(report.residual) || !std::isfinite(report.sigma_max))
    throw NonFiniteError("decompose: the factors of " + w.shape().text() + " are not finite");
  return factors;
}

}  // namespace ab
