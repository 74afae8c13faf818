#include "tools/train/run_plan.h"

#include <algorithm>
#include <cmath>

namespace ab {

bool trains_in_groups(Method method, StepPhase phase) {
  return (method == Method::kAb && phase == StepPhase::kAb) || phase == StepPhase::kLocal;
}

bool averages_after(const Config& config, const PhaseSpan& span, int64_t completed) {
  if (span.phase != StepPhase::kLocal) return false;
  return completed == span.to || (completed - span.from) % config.local_sgd.period == 0;
}

Phase ledger_phase(StepPhase phase) {
  constexpr Phase kPhases[] = {Phase::kWarmup, Phase::kAb, Phase::kRebound, Phase::kCompressed,
                               Phase::kLocal};
  return kPhases[static_cast<int>(phase)];
}

RunPlan make_run_plan(const Config& config, const Resolved& resolved) {
  RunPlan plan;
  plan.spans = step_schedule(schedule_settings(config, resolved));
  const double every = config.train.eval_every * static_cast<double>(resolved.steps_per_epoch);
  std::vector<int64_t>& evaluations = plan.evaluations;
  for (int64_t i = 1; every > 0.0; ++i) {
    const int64_t due = std::max<int64_t>(1, std::llround(every * static_cast<double>(i)));
    if (due >= resolved.total_steps) break;
    const PhaseSpan& span = span_of(plan.spans, due - 1);
    evaluations.push_back(span.phase == StepPhase::kAb ? span.to : due);
  }
  evaluations.push_back(resolved.total_steps);
  evaluations.erase(std::unique(evaluations.begin(), evaluations.end()), evaluations.end());
  return plan;
}

}  // namespace ab
