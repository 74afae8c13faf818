// StopRequest: when a run is asked to end early, and the step at which all ranks do.
// Asked: a signal (SIGTERM, SIGINT, SIGUSR1) that any rank's process received, or the end of the
// Slurm job (SLURM_JOB_END_TIME, Unix seconds) coming near. Signals reach ranks at different steps,
// so every checkpoint.ask_every steps the ranks add up one int64 over the world (purpose stop) and
// all find the same sum: 16 (n-1) bytes over all ranks, whatever the model. The same int64 counts
// the ranks that have written their part of a checkpoint.
#pragma once
#include <optional>
#include <string>

#include "tools/train/checkpoint_writer.h"
#include "tools/train/config.h"

namespace ab {

// From here on the first of the three signals only leaves a mark; a second one, whichever of the
// three, ends the process at once, as it would have by default.
// Every rank calls it, before it computes: the calling thread, and those that it starts, no longer
// take the three themselves, a thread of their own does. While oneDNN multiplies (dnnl_sgemm), the
// stack pointer of the thread points into a buffer on the heap, and the frame that the system lays
// down for a handler (some 3 KB with AVX-512) would overwrite what lies before that buffer.
void catch_stop_signals();
// The three signals end the process again: a rank that has failed stops at once when the launcher
// asks it to.
void leave_stop_signals();

class StopRequest {
 public:
  // can_save: there is a folder for a checkpoint; else the end of the job (SLURM_JOB_END_TIME) is
  // left to come.
  StopRequest(const Config& config, Communicator& world, int64_t total_steps, bool can_save);

  // Every rank asks after every update, `step_s` seconds long; the answer is the same on all. How
  // long a checkpoint takes here counts towards the time kept free at the end.
  bool agreed(int64_t completed, double step_s, const CheckpointWriter& checkpoints);
  // After agreed(): the ranks asked one another, and all have written their part of a checkpoint.
  bool all_written() const { return all_written_; }
  // After agreed(): who asked, in words.
  const std::string& reason() const { return reason_; }

 private:
  bool time_is_up(double step_s, double checkpoint_s) const;

  Communicator& world_;
  int64_t every_, total_steps_;
  double margin_s_;
  bool all_written_ = false;
  std::optional<double> end_time_;
  std::string reason_;
};

}  // namespace ab
