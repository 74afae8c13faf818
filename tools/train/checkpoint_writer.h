// CheckpointWriter: checkpoints beside the training, not in its way.
//   begin    copies this rank's part out of the run; a thread writes it, training goes on
//   settle   every rank's part is on the disk: the ranks say so (one all-gather of one int64 over
//            the world, purpose checkpoint), and a thread of rank 0 writes DONE and removes what is
//            older
// The trainer settles at the first step at which the ranks ask one another for a stop
// (stop_request.h) and all have written, at the latest before the next checkpoint, at the end of
// the run or before it stops on request. So there is one gather per checkpoint whatever the disk's
// speed, and only the main thread communicates. The copy lives until it is written.
#pragma once
#include <atomic>
#include <future>

#include "tools/train/checkpoint.h"

namespace ab {

class CheckpointWriter {
 public:
  // folder: the run's. Checkpoints that stay: `keep`.
  CheckpointWriter(std::string folder, Communicator& world, int keep);
  ~CheckpointWriter();  // waits for its threads; what is not settled yet is given up

  // Every rank calls these at the same steps. Where a part could not be written all of them throw,
  // and the rank concerned has the word: a DataError that names the file. The checkpoint before is
  // kept then.
  void begin(const RunState& state, const CheckpointParts& parts);  // finishes the one before
  void settle();
  void finish();  // settles, and waits for DONE

  // Nothing is waited for: this rank's part of a checkpoint that is not settled is on the disk, or
  // has failed.
  bool written() const;
  // The longest that a part of this rank took so far, from begin until it was on the disk.
  double longest_s() const { return longest_s_; }

 private:
  [[noreturn]] void give_up(int failed, const std::string& problem);
  [[noreturn]] void fail(const std::string& problem) const;

  std::string folder_;
  Communicator& world_;
  int keep_;
  int64_t step_ = 0;  // of the checkpoint under way
  double longest_s_ = 0.0;
  std::atomic<bool> abandoned_{false};
  std::future<double> part_;  // seconds it took
  std::future<void> done_;    // rank 0
};

}  // namespace ab
