// Time of a run: compute as given, communication by link_model.h.
//   a step  = compute + max(0, gradients - overlap * compute) + everything else that is sent
// Buckets of gradients leave while the backward pass goes on. overlap is the share of the compute
// time in which they can travel; all other collectives are waited for. The default of 0.5: the
// backward pass is two thirds of a step (two products for each one forward), and nothing travels
// before the first bucket is full.
// The compute time is taken as equal in all phases. Left out: decompositions themselves, computing
// evaluations, writing checkpoints, waiting for data, ranks that wait for a slower one.
#pragma once
#include <map>
#include <vector>

#include "optim/step_schedule.h"
#include "tools/train/link_model.h"

namespace ab {

struct TimeModel {
  Links links;
  double step_seconds = 0.0;  // compute of one step; 0: communication alone
  double overlap = 0.5;
};

struct PhaseTime {
  Phase phase = Phase::kStart;
  int64_t steps = 0;
  double compute = 0.0, communication = 0.0, waiting = 0.0;  // seconds
  double seconds() const { return compute + waiting; }
};

struct TimePlan {
  std::vector<PhaseTime> phases;  // in the ledger's order
  double seconds() const;
  double waiting() const;
};

// first_rank: what rank 0 takes part in (plan_traffic). It is in the first group, which trains A,
// the larger factor: no rank waits longer.
TimePlan plan_time(const std::map<LedgerKey, LedgerEntry>& first_rank,
                   const std::vector<PhaseSpan>& spans, const WorldLayout& layout, int group_size,
                   const TimeModel& model);

}  // namespace ab
