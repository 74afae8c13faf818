#include "tools/train/plan_time.h"

#include <algorithm>

namespace ab {
namespace {

Phase phase_of(StepPhase phase) {
  constexpr Phase kPhases[] = {Phase::kWarmup, Phase::kAb, Phase::kRebound};
  return kPhases[static_cast<int>(phase)];
}

}  // namespace

double TimePlan::seconds() const {
  double sum = 0.0;
  for (const PhaseTime& phase : phases) sum += phase.seconds();
  return sum;
}

double TimePlan::waiting() const {
  double sum = 0.0;
  for (const PhaseTime& phase : phases) sum += phase.waiting;
  return sum;
}

TimePlan plan_time(const std::map<LedgerKey, LedgerEntry>& first_rank,
                   const std::vector<PhaseSpan>& spans, const WorldLayout& layout, int group_size,
                   const TimeModel& model) {
  const Ring world = ring_of(layout, layout.world, model.links);
  const Ring group = ring_of(layout, group_size, model.links);
  std::map<Phase, PhaseTime> phases;
  std::map<Phase, double> gradients;
  for (const PhaseSpan& span : spans) {
    PhaseTime& time = phases[phase_of(span.phase)];
    time.steps += span.to - span.from;
    time.compute += static_cast<double>(span.to - span.from) * model.step_seconds;
  }
  for (const auto& [key, entry] : first_rank) {
    const double seconds = collective_seconds(key.collective, entry.calls, entry.payload_bytes,
                                              key.communicator == "group" ? group : world);
    phases[key.phase].communication += seconds;
    if (key.purpose == Purpose::kGradients) gradients[key.phase] += seconds;
  }
  TimePlan plan;
  for (auto& [phase, time] : phases) {
    time.phase = phase;
    time.waiting = time.communication - std::min(gradients[phase], model.overlap * time.compute);
    plan.phases.push_back(time);
  }
  return plan;
}

}  // namespace ab
