// StepGraph: a step's device work, recorded once in a phase and launched again in its later steps.
//   step 1 of a phase   runs, and the arena finds its addresses
//   step 2              runs at those addresses, and the libraries' plans for them are made
//   step 3              is recorded, if that can be done on every rank, and launched
//   later ones          are launched
// A launch repeats the recorded addresses and arguments: what differs from step to step the work
// has to read from device memory (Replica::begin_step, DeviceBatch::take). What a step books in the
// ledger is booked at each launch. On a device that runs its work at once there is nothing to
// record, and every step runs.
#pragma once
#include <string>

#include "distributed/communicator.h"
#include "tools/train/replica.h"

namespace ab {

class StepGraph {
 public:
  // wanted: the same on every rank of `world`. note: told once why steps run without a graph.
  StepGraph(Replica& replica, Communicator& world, bool wanted,
            std::function<void(const std::string&)> note);

  // Before anything that a step uses moves: the recording is given up, and steps count anew.
  void begin_phase();
  // One step on `batch`. A batch of other extents, or another layout of the arena, runs as it is.
  void run(const DeviceBatch& batch, const std::function<void()>& work);
  int64_t launches() const { return launches_; }

 private:
  bool still_fits(const DeviceBatch& batch) const;
  bool record(const std::function<void()>& work);
  void launch();
  void stop_recording(const std::string& why);

  Replica& replica_;
  Communicator& world_;
  bool wanted_;
  std::function<void(const std::string&)> note_;
  int64_t steps_ = 0, launches_ = 0;                    // steps: of this phase
  int64_t layouts_ = 0, count_ = 0, first_sample_ = 0;  // what the recording was made for
  std::map<LedgerKey, LedgerEntry> booked_;             // by one step
  std::unique_ptr<Graph> graph_;
};

}  // namespace ab
