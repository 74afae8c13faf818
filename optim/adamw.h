// AdamW over flat buffers (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019):
//   m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
//   p -= lr (m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps) + wd p)
// One launch per run of parameters that share decay and step count t. t is kept per parameter: a
// tensor whose shape or basis changed starts again at zero. Learning rate and corrections lie in
// device memory: between two layouts the launches of step() are the same in every step.
#pragma once
#include <string>
#include <vector>

#include "engine/context.h"
#include "kernels/adamw.h"

namespace ab {

struct AdamWSettings {
  double lr = 0.003, weight_decay = 0.1, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  std::vector<std::string> decay_exclude;  // name patterns (substring, or * and ?)
};

class AdamW {
 public:
  // The store must be laid out, with every parameter registered.
  AdamW(ParameterStore& store, const AdamWSettings& settings);

  // Moments follow the parameters to the store's new layout; those without a past start at zero.
  void relayout(const std::vector<Move>& moves);
  // t <- t + 1; the rates of this update go to the device.
  void begin_step(Stream stream, double lr);
  // p <- p - lr (...), with gradients multiplied by scale->factor (clipping) on the way; nothing
  // where scale->finite is 0. scale: a GradientScale in device memory.
  void step(Stream stream, DevicePtr scale);

  Tensor first_moment() const { return first_; }  // fp32, trainable elements
  Tensor second_moment() const { return second_; }
  int64_t& updates(const Parameter& parameter);  // t
  // Views of one trainable parameter's moments; empty for a frozen or absent one.
  Tensor first_moment(const Parameter& parameter) const;
  Tensor second_moment(const Parameter& parameter) const;

 private:
  struct Run {
    int64_t first, elements, updates;
    bool decay;
  };
  void find_runs();

  ParameterStore& store_;
  AdamWSettings settings_;
  Buffer memory_;
  Buffer rates_;  // AdamWRates by run, room for one per parameter
  std::vector<AdamWRates> host_rates_;
  Tensor first_, second_;
  std::vector<int64_t> updates_;  // by registration index
  std::vector<char> decay_;       // by registration index
  std::vector<Run> runs_;
};

// squares <- the square of the global L2 norm of all gradients (fp32, fixed order): one fp64 in
// device memory.
void gradient_squares(Context& context, const Tensor& gradients, DevicePtr squares);

}  // namespace ab
