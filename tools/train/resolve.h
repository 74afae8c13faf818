// resolve: a config on a given number of images and ranks becomes plain numbers of steps and
// samples.
//   global batch G = local_batch * world;  I = steps_per_epoch, or floor(images / G)
//   total = train.steps, or round(epochs * I); percentages round to the nearest step (method.md
//   sections 1 and 2: 20 % warm-up, 3.33 % AB, rebound 25 % and LR rebound 50 % of the AB steps).
// Pure: the planner calls it without a device. Every error is a ConfigError that names the key, the
// value found and values that would work.
#pragma once
#include <cstdint>

#include "data/dataset.h"
#include "engine/decomposition.h"
#include "layers/factored_weight.h"
#include "models/model.h"
#include "optim/lr_schedule.h"
#include "tools/train/config.h"

namespace ab {

struct Resolved {
  int64_t steps_per_epoch = 0;  // I: unit of epochs, LR schedule and evaluation
  int64_t data_steps_per_epoch =
      0;  // floor(images / G): one pass over the images (the loader's epoch)
  int64_t total_steps = 0;
  // warmup_steps: of powersgd and local-sgd their start_step
  int64_t warmup_steps = 0, ab_steps = 0, rebound_steps = 0, lr_rebound_steps = 0;
  int group_size = 1, groups = 1;  // of the method: without groups one, the world
  int64_t local_batch = 0, global_batch = 0;
  double epochs = 0.0;  // total_steps / steps_per_epoch
};

Resolved resolve(const Config& config, int64_t train_images, int world, int ranks_per_node);
Json to_json(const Resolved& resolved);

// What the other rooms want to be told.
ModelSettings model_settings(const Config& config);  // of a config with its model's defaults
Method method_of(const Config& config);
DType precision_of(const Config& config);
DType reduce_dtype_of(const Config& config);
FactorForward forward_of(const Config& config);
SvdRoute svd_route_of(const Config& config);
StepScheduleSettings schedule_settings(const Config& config, const Resolved& resolved);
LrSettings lr_settings(const Config& config, const Resolved& resolved);
DataSettings data_settings(const Config& config, const Resolved& resolved);
// For opening the data before the ranks are known; local_batch as the config says.
DataSettings data_settings(const Config& config);

}  // namespace ab
