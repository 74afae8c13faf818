// Initial weights from a seed that all ranks share; computed on the host, the same on every device.
#pragma once
#include "models/model.h"

namespace ab {

enum class Initialisation : uint8_t {
  // Every parameter of two or more dimensions, embeddings included, gets all singular values 1 in
  // its 2-D view (docs/method.md): engine/random_orthogonal.h.
  kOrthogonal,
  // Filters N(0, 2 / fan_out) (He et al., 2015); matrices and embeddings N(0, 0.02^2) cut at two
  // deviations.
  kDefault,
};

// Norm scales 1 (model.zero_scales() 0), biases 0, running variances 1. The store must be laid out.
void initialise(Model& model, Initialisation kind, uint64_t seed);

}  // namespace ab
