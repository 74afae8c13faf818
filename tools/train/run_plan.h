// RunPlan: what happens at which step, known before step 0. Trainer and planner both read it.
#pragma once
#include <vector>

#include "tools/train/resolve.h"

namespace ab {

struct RunPlan {
  std::vector<PhaseSpan> spans;
  // Completed updates after which the model is evaluated. One that would fall inside a group phase,
  // where no merged weights exist, waits for the merge: it costs no byte more.
  std::vector<int64_t> evaluations;
};

RunPlan make_run_plan(const Config& config, const Resolved& resolved);

// Ranks that average their gradients in a phase: the group in AB phases of method ab, else the
// world.
bool trains_in_groups(Method method, StepPhase phase);

}  // namespace ab
