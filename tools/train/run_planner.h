// RunPlanner: what a run on a given world will do, send, hold and take, on a dry device.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "tools/train/memory_plan.h"
#include "tools/train/plan_time.h"
#include "tools/train/run_plan.h"

namespace ab {

// What follows if the layers keep these ranks.
struct Outcome {
  std::map<LedgerKey, LedgerEntry> entries;     // of all ranks
  std::map<LedgerKey, LedgerEntry> first_rank;  // rank 0's part, for plan_time
  int64_t sent = 0, inter_node = 0;
  int64_t full_rank_sent = 0;                               // of which in warm-up and rebound
  double compression = 1.0, executed = 0.0, literal = 0.0;  // ECR both ways (efficiency.h)
};

// Images of an epoch: from train.steps_per_epoch where the config says so, else from the data,
// whose size also goes into `stored`.
int64_t count_images(const Config& config, int world, StoredImage& stored);

class RunPlanner {
 public:
  RunPlanner(const Config& config, const WorldLayout& layout);

  // given: the compression that the ECR is computed with, instead of the ranks' own.
  Outcome outcome(const LayerRanks& ranks, std::optional<double> given = {});
  int64_t memory_bytes(const LayerRanks& ranks) const;
  TimePlan time(const Outcome& outcome, const TimeModel& model) const;

  LayerRanks lowest() const;   // every layer at rank 1, in every cycle
  LayerRanks highest() const;  // at full rank
  // What a run recorded in ranks.jsonl, in this plan's order of layers.
  LayerRanks of_run(const std::string& folder) const;
  // The same share of its full rank in every layer, so that the model is compressed c : 1.
  LayerRanks of_compression(double c) const;

  const Config& config() const { return config_; }
  const WorldLayout& layout() const { return layout_; }
  const Resolved& resolved() const { return resolved_; }
  const RunPlan& run_plan() const { return plan_; }
  const Replica& replica() const { return replica_; }

 private:
  Config config_;
  WorldLayout layout_;
  StoredImage stored_;
  Resolved resolved_;
  RunPlan plan_;
  std::unique_ptr<Device> dry_;
  Replica replica_;
};

}  // namespace ab
