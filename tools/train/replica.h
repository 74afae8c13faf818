// Replica: one rank's copy of the network with all that a training step needs.
#pragma once
#include <memory>

#include "engine/context.h"
#include "models/model.h"
#include "optim/adamw.h"
#include "tools/train/device_batch.h"
#include "tools/train/resolve.h"

namespace ab {

// What a step found out.
struct StepResult {
  double loss = 0.0;       // the batch's mean
  double grad_norm = 0.0;  // global L2 norm of the averaged gradients
};

class Replica {
 public:
  // Registers, lays out and initialises the model.
  Replica(const Config& config, const Resolved& resolved, Device& device);

  // What differs from step to step goes to the device: random numbers are drawn from (seed, step),
  // and the update has its learning rate. The two calls after it lay the same work on the device in
  // every step of a phase.
  void begin_step(int64_t step, double lr);
  // Forward, loss and backward of a batch: leaves gradients in store.gradients(). The listener set
  // on `tape` hears of each complete gradient. statistics: of synchronised batch norm, or null.
  void forward_backward(const DeviceBatch& batch, ReplicaSum* statistics);
  // Clips the gradients as they stand (averaged by now) and updates by AdamW, unless they or the
  // loss are not finite: then nothing changes.
  void update();
  // Waits for the device. A loss or norm that is not finite is the caller's to act upon.
  StepResult result();

  // The first layer whose output is not finite for this batch, in words; empty when all are finite.
  std::string first_non_finite_layer(const DeviceBatch& batch);

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
  double clip_norm_;
  Buffer step_;  // StepMemory
};

}  // namespace ab
