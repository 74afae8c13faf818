// Network: what layers register with while a model is built.
#pragma once
#include <vector>

#include "engine/parameter_store.h"

namespace ab {

class FactoredWeight;

struct Network {
  ParameterStore& store;
  std::vector<FactoredWeight*> weights;  // every matrix a layer multiplies with, in order
};

}  // namespace ab
