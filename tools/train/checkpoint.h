// Checkpoint: all that a run needs to go on exactly, in one folder per saved step.
//   checkpoints/step-00000400/
//     weights.safetensors, weights-1.safetensors, ...    one image per group that differs
//     optimizer.safetensors, optimizer-1.safetensors, .. AdamW's moments and update counts, and the
//                                                        moments and factors that merges need
//     rank-00000.json, ...                               each rank's ledger, its skipped samples
//     rank-00000.safetensors, ...                        powersgd: each rank's errors and starts
//     state.json                                         step, layer ranks, results so far
//     DONE                                               written last: CRC-32, length of each file
// Loader order, augmentation, dropout and phase follow from the step alone. Every file is written
// under a temporary name, flushed and renamed; an older checkpoint goes only after a newer one is
// DONE.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "distributed/communicator.h"
#include "distributed/powersgd.h"
#include "tools/train/merge_rules.h"
#include "tools/train/moment_stash.h"
#include "tools/train/replica.h"
#include "tools/train/traffic_plan.h"

namespace ab {

// The part of a run's state that is the same on every rank.
struct RunState {
  int64_t step = 0;               // completed updates
  std::vector<int64_t> factored;  // k of every factorable weight now; empty: all dense
  LayerRanks layer_ranks;         // of all cycles so far
  int64_t params_now = 0;
  std::optional<double> top1_last, top1_best;
};

// Which image a rank reads, and whether it is the one that writes it.
struct ImagePlace {
  int index = 0;
  bool writer = false;
};

struct CheckpointParts {
  Replica& replica;
  MomentStash& stash;
  MergeRules& rules;
  PowerSgd* powersgd;  // null but for its method
  Communicator& world;
  ImagePlace image;
  int64_t& skipped;  // training samples of this rank that did not decode, so far
};

// Writes checkpoints/step-... under `folder`; every rank calls it. The ranks tell one another that
// their part is on the disk (one all-gather of one int64 on the world, purpose checkpoint). Returns
// false, with the reason in `problem`, when a part could not be written: the previous checkpoint is
// then the newest.
bool save_checkpoint(const std::string& folder, const RunState& state, const CheckpointParts& parts,
                     int keep, std::string* problem);

// The newest checkpoint of a run's folder that is complete and undamaged; empty when there is none.
// warnings: one line for each that was passed over, naming the damage.
std::string newest_checkpoint(const std::string& folder, std::vector<std::string>* warnings);

// state.json alone: what a resuming rank needs to bring its layout into shape first.
RunState load_state(const std::string& checkpoint);
// Weights, moments and ledger into a replica of the saved shapes. Throws DataError.
void load_checkpoint(const std::string& checkpoint, const CheckpointParts& parts);

}  // namespace ab
