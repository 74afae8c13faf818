// Replica: one rank's copy of the network with all that a training step needs.
#pragma once
#include <memory>

#include "engine/context.h"
#include "models/model.h"
#include "optim/adamw.h"
#include "tools/train/device_batch.h"
#include "tools/train/resolve.h"

namespace ab {

// What differs from step to step.
struct StepInput {
  int64_t step = 0;                  // random numbers are drawn from (seed, step)
  ReplicaSum* statistics = nullptr;  // synchronised batch norm
};

class Replica {
 public:
  // Registers, lays out and initialises the model.
  Replica(const Config& config, const Resolved& resolved, Device& device);

  // Forward, loss and backward of a batch: leaves gradients in store.gradients() and returns the
  // batch's mean loss. The listener set on `tape` hears of each complete gradient.
  double forward_backward(const DeviceBatch& batch, const StepInput& input);
  // Global L2 norm of the gradients as they stand (averaged by now).
  double gradient_norm();
  // AdamW with gradients times `gradient_scale`; ends the step.
  void update(double lr, float gradient_scale);

  // The first layer whose output is not finite for this batch, in words; empty when all are finite.
  std::string first_non_finite_layer(const DeviceBatch& batch, const StepInput& input);

  // A content hash of each, equal on replicas that are equal.
  std::vector<uint64_t> hashes_of(const std::vector<const Parameter*>& parameters);

  // Parameters as they stand: unfactored + sum of k (m + n).
  int64_t present_elements() const;

  // A context for one pass over the arena; the caller ends the arena's step.
  Context context(Arena& arena, bool training);

  Device& device;
  ParameterStore store;
  std::unique_ptr<Model> model;
  std::vector<FactoredWeight*> factorable;
  int64_t full_elements;  // parameters of the full-rank model
  AdamW adamw;
  Arena arena;   // of training steps
  Arena border;  // of phase borders and hashes; emptied after each
  Tape tape;

 private:
  Tensor loss_of(Context& context, const DeviceBatch& batch);

  DType dtype_;
  uint64_t seed_;
  float label_smoothing_;
};

}  // namespace ab
