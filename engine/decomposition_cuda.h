// Truncated factorisation on CUDA.
#pragma once
#include <cusolverDn.h>

#include "engine/decomposition.h"
#include "engine/device.h"
#include "engine/handles_cuda.h"

namespace ab {

class CudaDecomposition : public Decomposition {
 public:
  explicit CudaDecomposition(Device& device) : device_(device) {}

  Factors decompose(Stream stream, Arena& arena, const Tensor& w, float cutoff,
                    SvdRoute route) override;

 private:
  // W = left diag(scale) right; left and right may hold more terms than are kept.
  struct Spectrum {
    Tensor left;                // (m, terms): U of the full route, U S of the Gram route
    Tensor right;               // (terms, n): rows of V^T
    std::vector<double> sigma;  // all n; of the Gram route sqrt(lambda)
    bool left_has_sigma = false;
    std::string driver;
  };
  // One call of cuSOLVER: where it happens.
  struct Place {
    Stream stream;
    Arena& arena;
  };

  void open(Stream stream);
  // Each returns false when cuSOLVER did not converge.
  bool gram(const Place& at, const Tensor& w, float cutoff, Spectrum& spectrum);
  bool full_qr(const Place& at, const Tensor& w, Spectrum& spectrum);
  bool full_jacobi(const Place& at, const Tensor& w, Spectrum& spectrum);
  Factors cut(const Place& at, const Tensor& w, double energy, float cutoff,
              const Spectrum& spectrum);

  template <class T>
  std::vector<T> read(const Place& at, const Tensor& from);
  template <class T>
  Tensor write(const Place& at, const std::vector<T>& values, DType dtype);
  double energy_of(const Place& at, const Tensor& matrix);
  bool converged(const Place& at, const Tensor& info, const char* driver);

  Device& device_;
  cuda::Handle<cusolverDnHandle_t, cusolverDnDestroy> library_;  // made for the first matrix
  cuda::Handle<cusolverDnParams_t, cusolverDnDestroyParams> settings_;
  cuda::Handle<gesvdjInfo_t, cusolverDnDestroyGesvdjInfo> jacobi_;
};

}  // namespace ab
