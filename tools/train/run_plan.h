// RunPlan: what happens at which step, known before step 0. Trainer and planner both read it.
#pragma once
#include <vector>

#include "distributed/ledger.h"
#include "tools/train/resolve.h"

namespace ab {

struct RunPlan {
  std::vector<PhaseSpan> spans;
  // Completed updates after which the model is evaluated. One that would fall inside a group phase,
  // where no merged weights exist, waits for the merge: it costs no byte more.
  std::vector<int64_t> evaluations;
};

RunPlan make_run_plan(const Config& config, const Resolved& resolved);

// Ranks that average their gradients in a phase: the group in AB phases of method ab and in local
// ones, else the world.
bool trains_in_groups(Method method, StepPhase phase);
// In a local span: weights are averaged over the world after this many completed updates. The last
// step averages whatever the period.
bool averages_after(const Config& config, const PhaseSpan& span, int64_t completed);
// How a step's collectives are booked.
Phase ledger_phase(StepPhase phase);

}  // namespace ab
