#include "optim/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ab {

double scheduled_lr(const LrSettings& settings, int64_t step) {
  const double t = static_cast<double>(step);
  const double warmup = settings.warmup_epochs * settings.steps_per_epoch;
  if (t < warmup) return settings.warmup_lr + t * (settings.peak - settings.warmup_lr) / warmup;
  const double decay = (settings.epochs - settings.warmup_epochs) * settings.steps_per_epoch;
  // Past the last epoch (more steps than epochs were asked for) the rate stays at its end.
  const double progress = decay > 0 ? std::min(1.0, (t - warmup) / decay) : 0.0;
  return settings.min_lr +
         0.5 * (settings.peak - settings.min_lr) * (1.0 + std::cos(std::numbers::pi * progress));
}

double learning_rate(const LrSettings& settings, int64_t step, int64_t since_border) {
  const double scheduled = scheduled_lr(settings, step);
  if (since_border < 1 || since_border > settings.rebound_steps) return scheduled;
  const double climbed =
      static_cast<double>(since_border - 1) / static_cast<double>(settings.rebound_steps);
  return std::min(settings.warmup_lr + climbed * (scheduled - settings.warmup_lr), scheduled);
}

int64_t steps_since_border(const std::vector<PhaseSpan>& spans, int64_t step) {
  const PhaseSpan& span = span_of(spans, step);
  const bool begins_at_border = span.phase == StepPhase::kAb || span.phase == StepPhase::kRebound;
  return begins_at_border && &span != &spans.front() ? step - span.from + 1 : 0;
}

}  // namespace ab
