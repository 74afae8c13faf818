// Normalisation layers with their parameters.
#pragma once
#include <string>

#include "engine/context.h"
#include "layers/network.h"

namespace ab {

// y = (x - mean) rstd gamma + beta over the last extent; "<name>.weight", "<name>.bias".
class LayerNorm {
 public:
  LayerNorm(Network& network, const std::string& name, int64_t size, float epsilon);
  Tensor forward(Context& context, const Tensor& x);

 private:
  std::string name_;
  Parameter &gamma_, &beta_;
  float epsilon_;
};

// Over all but the last extent (NHWC); statistics of the batch in training, running ones otherwise.
// "<name>.weight", "<name>.bias", buffers "<name>.running_mean", "<name>.running_var".
class BatchNorm {
 public:
  BatchNorm(Network& network, const std::string& name, int64_t channels);
  // residual (shape of x) is added before the ReLU; null: none.
  Tensor forward(Context& context, const Tensor& x, bool relu, const Tensor* residual = nullptr);

  Parameter& gamma() const { return gamma_; }

 private:
  std::string name_;
  Parameter &gamma_, &beta_, &running_mean_, &running_var_;
};

}  // namespace ab
