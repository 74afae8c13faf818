// Checkpoint: all that a run needs to go on exactly, in one folder per saved step.
//   checkpoints/step-00000400/
//     weights.safetensors, weights-1.safetensors, ...    one image per group that differs
//     optimizer.safetensors, optimizer-1.safetensors, .. AdamW's moments and update counts, and the
//                                                        moments and factors that merges need
//     rank-00000.json, ...                               each rank's ledger, its skipped samples,
//                                                        the files it wrote
//     rank-00000.safetensors, ...                        powersgd: each rank's errors and starts
//     state.json                                         step, layer ranks, results so far
//     DONE                                               written last: CRC-32, length of each file
// Loader order, augmentation, dropout and phase follow from the step alone. Every file is written
// under a temporary name, flushed and renamed; an older checkpoint goes only after a newer one is
// DONE. checkpoint_writer.h says when what is written.
#pragma once
#include <atomic>
#include <memory>
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

// How a run is spread out.
struct RunLayout {
  int world = 1, group_size = 1;
  int64_t global_batch = 0;
  bool operator==(const RunLayout&) const = default;
};

// The part of a run's state that is the same on every rank.
struct RunState {
  RunLayout layout;
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

constexpr int kCheckpointVersion = 3;  // in state.json; others are refused

struct CheckpointParts {
  Replica& replica;
  MomentStash& stash;
  MergeRules& rules;
  PowerSgd* powersgd;  // null but for its method
  Communicator& world;
  ImagePlace image;
  int64_t& skipped;  // training samples of this rank that did not decode, so far
};

// One rank's part of a checkpoint, copied out of the run: later steps do not change it.
struct Snapshot {
  struct Tensors {
    std::string file;
    std::vector<SafetensorsSource> sources;  // over memory of their own
    Metadata metadata;
  };
  std::string path;  // of the checkpoint
  int rank = 0;
  std::vector<Tensors> tensors;
  RunState state;
  Ledger ledger;
  int64_t skipped = 0;
};

// Waits for the device. The ledger is saved as it will stand when the ranks have told one another
// that this checkpoint is written (checkpoint_writer.h).
std::unique_ptr<Snapshot> take_snapshot(const std::string& path, const RunState& state,
                                        const CheckpointParts& parts);
// Puts it on the disk, the rank's list of files last; gives up when `abandoned`. Touches neither
// device nor communicator. Throws DataError, naming the file.
void write_snapshot(const Snapshot& snapshot, const std::atomic<bool>& abandoned);

// Name and tensor of what powersgd carries from step to step.
std::vector<std::pair<std::string, Tensor>> carried_by(const PowerSgd& powersgd);

// state.json alone: what a resuming rank needs to bring its layout into shape first.
RunState load_state(const std::string& checkpoint);
// Weights, moments and ledger into a replica of the saved shapes; where the layout has changed, by
// the rule of relayout.h. Throws DataError.
void load_checkpoint(const std::string& checkpoint, const RunState& state,
                     const CheckpointParts& parts);

}  // namespace ab
