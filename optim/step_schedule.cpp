#include "optim/step_schedule.h"

#include <algorithm>
#include <stdexcept>

#include "engine/error.h"

namespace ab {
namespace {

std::string text(const char* name, int64_t value) {
  return std::string(name) + " = " + std::to_string(value);
}

void check(const StepScheduleSettings& settings) {
  if (settings.total_steps < 0)
    throw ConfigError(text("total steps", settings.total_steps) + ": must be 0 or more");
  if (settings.method != Method::kAb && settings.method != Method::kAbNoGroups) return;
  if (const auto& compat = settings.compat) {
    if (compat->w < 0)
      throw ConfigError(text("ab.compat.schedule.W", compat->w) + ": must be 0 or more");
    if (compat->s < 1)
      throw ConfigError(text("ab.compat.schedule.S", compat->s) + ": must be 1 or more");
    if (compat->d < 0 || compat->d >= compat->s)
      throw ConfigError(text("ab.compat.schedule.D", compat->d) + ": must lie in 0 .. S - 1 = " +
                        std::to_string(compat->s - 1) + ", so that the AB phase has a step");
    return;
  }
  if (settings.warmup_steps < 0)
    throw ConfigError(text("ab.warmup_steps", settings.warmup_steps) + ": must be 0 or more");
  if (settings.ab_steps < 1 && settings.warmup_steps < settings.total_steps)
    throw ConfigError(text("ab.ab_steps", settings.ab_steps) +
                      ": must be 1 or more; 3.33 % of the " + std::to_string(settings.total_steps) +
                      " steps is " +
                      std::to_string(std::max<int64_t>(1, settings.total_steps / 30)));
  if (settings.rebound_steps < 0)
    throw ConfigError(text("ab.rebound_steps", settings.rebound_steps) + ": must be 0 or more");
}

}  // namespace

std::vector<PhaseSpan> step_schedule(const StepScheduleSettings& settings) {
  check(settings);
  const int64_t total = settings.total_steps;
  const auto& compat = settings.compat;
  int64_t warmup = compat ? compat->w : settings.warmup_steps;
  if (settings.method == Method::kDdp) warmup = total;
  const int64_t rebound = compat ? compat->d : settings.rebound_steps;

  std::vector<PhaseSpan> spans;
  int64_t at = 0;
  const auto add = [&](StepPhase phase, int cycle, int64_t to) {
    to = std::min(to, total);
    if (to > at) spans.push_back({phase, cycle, at, to});
    at = std::max(at, to);
  };
  if (settings.method == Method::kPowerSgd || settings.method == Method::kLocalSgd) {
    add(StepPhase::kWarmup, -1, settings.warmup_steps);
    add(settings.method == Method::kPowerSgd ? StepPhase::kCompressed : StepPhase::kLocal, -1,
        total);
    return spans;
  }
  add(StepPhase::kWarmup, -1, warmup);
  for (int cycle = 0; at < total; ++cycle) {
    add(StepPhase::kAb, cycle, compat ? (at / compat->s + 1) * compat->s : at + settings.ab_steps);
    add(StepPhase::kRebound, cycle, at + rebound);
  }
  return spans;
}

const PhaseSpan& span_of(const std::vector<PhaseSpan>& spans, int64_t step) {
  const auto next = std::upper_bound(spans.begin(), spans.end(), step,
                                     [](int64_t s, const PhaseSpan& span) { return s < span.to; });
  if (step < 0 || next == spans.end())
    throw std::out_of_range("step " + std::to_string(step) + " is outside the schedule of " +
                            std::to_string(spans.empty() ? 0 : spans.back().to) + " steps");
  return *next;
}

const char* name_of(StepPhase phase) {
  constexpr const char* kNames[] = {"warmup", "ab", "rebound", "compressed", "local"};
  return kNames[static_cast<int>(phase)];
}

const char* name_of(Method method) {
  constexpr const char* kNames[] = {"ddp", "ab", "ab-nogroups", "powersgd", "local-sgd"};
  return kNames[static_cast<int>(method)];
}

}  // namespace ab
