// From percentages, optional batches and "node" to plain numbers; see resolve.h.
#include "tools/train/resolve.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "distributed/groups.h"
#include "engine/error.h"

namespace ab {
namespace {

std::string text(int64_t value) {
  return std::to_string(value);
}

int64_t steps_of(const StepCount& count, int64_t total, int64_t ab_steps) {
  if (count.of == StepCount::Of::kSteps) return static_cast<int64_t>(count.value);
  const auto whole = static_cast<double>(count.of == StepCount::Of::kTotal ? total : ab_steps);
  const int64_t steps = std::llround(count.value * whole / 100.0);
  return count.value > 0.0 ? std::max<int64_t>(steps, 1) : 0;  // a share above 0 is a step at least
}

void resolve_batch(const Config& config, int64_t images, int world, Resolved& resolved) {
  resolved.local_batch = config.data.local_batch;
  if (const auto global = config.data.global_batch) {
    resolved.local_batch = *global / world;
    if (*global % world != 0) {
      const std::string above = text((resolved.local_batch + 1) * world);
      throw ConfigError(
          "data.global_batch: found " + text(*global) + " with " + text(world) +
          " ranks, which does not deal out evenly; " +
          (resolved.local_batch > 0 ? text(resolved.local_batch * world) + " or " : "") + above +
          " would work");
    }
  }
  resolved.global_batch = resolved.local_batch * world;
  resolved.data_steps_per_epoch = images / resolved.global_batch;
  if (resolved.data_steps_per_epoch > 0) return;
  const int64_t fits = images / world;
  throw ConfigError(
      "data.local_batch: found " + text(resolved.local_batch) + " x " + text(world) +
      " ranks = " + text(resolved.global_batch) + " samples per step, but the training set has " +
      text(images) + " images, so a rank would be left without a sample; " +
      (fits > 0 ? "a local batch of at most " + text(fits) : "at most " + text(images) + " ranks") +
      " would work");
}

void resolve_phases(const Config& config, Resolved& resolved) {
  const Config::Ab& ab = config.ab;
  const int64_t total = resolved.total_steps;
  const Method method = method_of(config);
  if (method == Method::kPowerSgd || method == Method::kLocalSgd) {
    const StepCount& start =
        method == Method::kPowerSgd ? config.powersgd.start_step : config.local_sgd.start_step;
    resolved.warmup_steps = steps_of(start, total, 0);
    return;
  }
  if (const auto& compat = ab.compat.schedule) {
    resolved.warmup_steps = compat->w;
    resolved.ab_steps = compat->s - compat->d;
    resolved.rebound_steps = compat->d;
  } else {
    resolved.warmup_steps = steps_of(ab.warmup_steps, total, 0);
    resolved.ab_steps = std::max<int64_t>(steps_of(ab.ab_steps, total, 0), 1);
    resolved.rebound_steps = steps_of(ab.rebound_steps, total, resolved.ab_steps);
  }
  resolved.lr_rebound_steps = steps_of(ab.lr_rebound_steps, total, resolved.ab_steps);
}

void resolve_groups(const Config& config, int world, int ranks_per_node, Resolved& resolved) {
  resolved.group_size = world;
  resolved.groups = 1;
  const bool local = method_of(config) == Method::kLocalSgd;
  if (method_of(config) != Method::kAb && !local) return;
  const auto& size = local ? config.local_sgd.group_size : config.ab.group_size;
  const std::string key = local ? "local_sgd.group_size" : "ab.group_size";
  resolved.group_size = static_cast<int>(size.value_or(std::min(ranks_per_node, world)));
  try {
    resolved.groups = count_groups(world, resolved.group_size, key);
  } catch (const ConfigError& error) {
    if (size) throw;
    throw ConfigError(key + R"(: "node" means the ranks of one node; )" + error.what() +
                      ", set as " + key);
  }
}

void check_combinations(const Config& config) {
  if (config.ab.compat.moments && config.ab.moments != "zero")
    throw ConfigError("ab.moments: found \"" + config.ab.moments +
                      "\" with ab.compat.moments, which has its own rule; leave one of them out");
  if (config.ab.compat.moments && config.ab.guard)
    throw ConfigError(
        "ab.guard: found true with ab.compat.moments, under which nobody averages the moments of a "
        "layer that stays dense, so that its replicas would drift; leave one of them out");
}

}  // namespace

Resolved resolve(const Config& config, int64_t train_images, int world, int ranks_per_node) {
  Resolved resolved;
  check_combinations(config);
  resolve_groups(config, world, ranks_per_node, resolved);
  resolve_batch(config, train_images, world, resolved);
  resolved.steps_per_epoch = config.train.steps_per_epoch.value_or(resolved.data_steps_per_epoch);
  const auto per_epoch = static_cast<double>(resolved.steps_per_epoch);
  resolved.total_steps = config.train.steps.value_or(
      std::max<int64_t>(std::llround(config.train.epochs * per_epoch), 1));
  resolved.epochs = static_cast<double>(resolved.total_steps) / per_epoch;
  resolve_phases(config, resolved);
  return resolved;
}

Json to_json(const Resolved& resolved) {
  return {{"steps_per_epoch", resolved.steps_per_epoch},
          {"data_steps_per_epoch", resolved.data_steps_per_epoch},
          {"total_steps", resolved.total_steps},
          {"epochs", resolved.epochs},
          {"warmup_steps", resolved.warmup_steps},
          {"ab_steps", resolved.ab_steps},
          {"rebound_steps", resolved.rebound_steps},
          {"lr_rebound_steps", resolved.lr_rebound_steps},
          {"group_size", resolved.group_size},
          {"groups", resolved.groups},
          {"local_batch", resolved.local_batch},
          {"global_batch", resolved.global_batch}};
}

ModelSettings model_settings(const Config& config) {
  const Config::Model& model = config.model;
  ModelSettings settings;
  settings.name = model.name;
  settings.classes = model.classes.value();
  settings.image = model.image.value();
  settings.channels = model.channels.value();
  settings.width = model.width.value_or(settings.width);
  settings.depth = model.depth.value_or(settings.depth);
  settings.dim = model.dim.value_or(settings.dim);
  settings.heads = model.heads.value_or(settings.heads);
  settings.patch = model.patch.value_or(settings.patch);
  settings.mlp_ratio = model.mlp_ratio.value_or(settings.mlp_ratio);
  settings.drop_path = model.drop_path.value();
  settings.dropout = model.dropout.value();
  return settings;
}

Method method_of(const Config& config) {
  for (const Method method :
       {Method::kAb, Method::kAbNoGroups, Method::kPowerSgd, Method::kLocalSgd})
    if (config.method == name_of(method)) return method;
  return Method::kDdp;
}

DType precision_of(const Config& config) {
  return config.train.precision == "bf16" ? DType::kBFloat16 : DType::kFloat32;
}

DType reduce_dtype_of(const Config& config) {
  return config.comm.reduce_dtype == "bf16" ? DType::kBFloat16 : DType::kFloat32;
}

FactorForward forward_of(const Config& config) {
  return config.ab.forward == "dense"  ? FactorForward::kDense
         : config.ab.forward == "thin" ? FactorForward::kThin
                                       : FactorForward::kAuto;
}

SvdRoute svd_route_of(const Config& config) {
  return config.ab.svd == "gram"   ? SvdRoute::kGram
         : config.ab.svd == "full" ? SvdRoute::kFull
                                   : SvdRoute::kAuto;
}

StepScheduleSettings schedule_settings(const Config& config, const Resolved& resolved) {
  return {.method = method_of(config),
          .total_steps = resolved.total_steps,
          .warmup_steps = resolved.warmup_steps,
          .ab_steps = resolved.ab_steps,
          .rebound_steps = resolved.rebound_steps,
          .compat = config.ab.compat.schedule};
}

LrSettings lr_settings(const Config& config, const Resolved& resolved) {
  return {.peak = config.adamw.lr,
          .warmup_lr = config.schedule.warmup_lr,
          .min_lr = config.schedule.min_lr,
          .warmup_epochs = config.schedule.warmup_epochs,
          .epochs = resolved.epochs,
          .steps_per_epoch = static_cast<double>(resolved.steps_per_epoch),
          .rebound_steps = resolved.lr_rebound_steps};
}

DataSettings data_settings(const Config& config) {
  DataSettings settings;
  settings.format = config.data.format;
  settings.dir = config.data.dir;
  settings.augment = config.data.augment.value();
  settings.local_batch = config.data.local_batch;
  settings.workers = config.data.workers;
  settings.image = config.model.image.value();
  settings.classes = config.model.classes.value();
  settings.on_bad_image = config.data.on_bad_image;
  settings.synthetic_images = config.data.synthetic_images;
  settings.seed = config.train.seed;
  return settings;
}

DataSettings data_settings(const Config& config, const Resolved& resolved) {
  DataSettings settings = data_settings(config);
  settings.local_batch = resolved.local_batch;
  return settings;
}

}  // namespace ab
