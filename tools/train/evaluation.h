// Evaluation: loss and accuracy over a whole split, every image exactly once, dealt over the ranks.
#pragma once
#include "distributed/communicator.h"
#include "tools/train/replica.h"
#include "tools/train/run_folder.h"

namespace ab {

class Evaluation {
 public:
  Evaluation(const Dataset& images, const DataSettings& settings, Replica& replica,
             Communicator& world);

  // skipped_in_training: of this rank, so far; added up with the rest. The result is the same on
  // every rank. Running batch statistics; no label smoothing in the loss.
  EvalRecord run(int64_t step, int64_t skipped_in_training = 0);

 private:
  Replica& replica_;
  Communicator& world_;
  Loader loader_;
  DeviceBatch batch_;
  Arena arena_;
};

}  // namespace ab
