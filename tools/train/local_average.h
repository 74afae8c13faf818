// Post-local SGD (T. Lin et al., "Don't Use Large Mini-Batches, Use Local SGD", ICLR 2020): after
// local_sgd.start_step the groups go their own ways, each averaging gradients inside, and every
// local_sgd.period steps the weights are averaged over the world, in fp32.
//   moments = keep      AdamW's moments stay each group's own, as in PyTorch's averagers
//   moments = average   they are averaged too: twice the weights' bytes more
// Batch-norm running statistics are averaged with the weights.
#pragma once
#include "distributed/communicator.h"
#include "tools/train/replica_check.h"

namespace ab {

class LocalAverage {
 public:
  LocalAverage(const Config& config, Replica& replica, Communicator& world, ReplicaCheck& check)
      : moments_(config.local_sgd.moments == "average"),
        replica_(replica),
        world_(world),
        check_(check) {}

  // Afterwards all replicas hold the same weights; throws CommunicationError where a hash says that
  // they do not.
  void average();

  // The averages for as long as this lives, for an evaluation between two averages; then the
  // rank's own weights again, to the bit.
  class Borrowed {
   public:
    explicit Borrowed(LocalAverage& of);
    ~Borrowed();
    Borrowed(const Borrowed&) = delete;

   private:
    LocalAverage& of_;
    Tensor weights_, statistics_;
  };

 private:
  void average_weights();

  bool moments_;
  Replica& replica_;
  Communicator& world_;
  ReplicaCheck& check_;
};

}  // namespace ab
