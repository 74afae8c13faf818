// Truncated factorisation on the host.
#pragma once
#include "engine/decomposition.h"
#include "engine/device.h"

namespace ab {

class HostDecomposition : public Decomposition {
 public:
  // dry: takes the memory that the Gram route takes when everything is kept, and returns k = n.
  HostDecomposition(Device& device, bool dry) : device_(device), dry_(dry) {}

  Factors decompose(Stream stream, Arena& arena, const Tensor& w, float cutoff,
                    SvdRoute route) override;

 private:
  // W = left diag(scale) right, terms in descending order of sigma; left and right may hold more
  // terms than are kept.
  struct Spectrum {
    Tensor left;                // (m, terms): U of the full route, U S of the Gram route
    Tensor right;               // (terms, n): rows of V^T
    std::vector<double> sigma;  // all n; of the Gram route sqrt(lambda)
    bool left_has_sigma = false;
    std::string driver;
  };

  // Each returns false when LAPACK did not converge.
  bool gram(Stream stream, Arena& arena, const Tensor& w, float cutoff, Spectrum& spectrum);
  void multiply_gram(Stream stream, Arena& arena, const Tensor& w, const Tensor& g);
  bool full(Arena& arena, const Tensor& w, bool divide_and_conquer, Spectrum& spectrum);
  Factors cut(Stream stream, Arena& arena, const Tensor& w, double energy, float cutoff,
              const Spectrum& spectrum);

  Device& device_;
  const bool dry_;
};

}  // namespace ab
