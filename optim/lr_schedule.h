// Learning rate of update t: linear warm-up, cosine, and the rebound after each border
// (AB-training; the cosine is the reference implementation's). I updates per epoch, E epochs, w of
// them warm-up:
//   t < wI: lr_w + t (peak - lr_w) / (wI)
//   then:   lr_min + (peak - lr_min) (1 + cos(pi (t - wI) / ((E - w) I))) / 2
// Pure functions in double.
#pragma once
#include <cstdint>
#include <vector>

#include "optim/step_schedule.h"

namespace ab {

struct LrSettings {
  double peak = 0.003, warmup_lr = 1e-5, min_lr = 1e-5;
  double warmup_epochs = 10;   // w
  double epochs = 150;         // E
  double steps_per_epoch = 0;  // I
  int64_t rebound_steps = 0;   // R: lr_rebound_steps
};

// Without rebound. Beyond the last epoch: the end of the cosine.
double scheduled_lr(const LrSettings& settings, int64_t step);
// With rebound, R = rebound_steps: min(lr_w + (j-1)/R (lr_sched - lr_w), lr_sched). `since_border`
// = j, the number of this update counted from the last border (1 for the first update after it), 0
// when no border was crossed yet.
double learning_rate(const LrSettings& settings, int64_t step, int64_t since_border);
// j for an update, from the spans: every AB and rebound span but the first of all begins at a
// border. (Training that starts inside `ab` has no border before it: the warm-up already begins
// near zero. Compressing gradients or averaging weights changes no shape, so it is no border.)
int64_t steps_since_border(const std::vector<PhaseSpan>& spans, int64_t step);

}  // namespace ab
