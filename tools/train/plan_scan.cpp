#include "tools/train/plan_scan.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/train/plan_format.h"
#include "tools/train/plan_methods.h"
#include "tools/train/plan_text.h"

namespace ab {
namespace {

struct Base {
  int64_t batch = 0, local = 0;  // samples of a step that the configuration's steps hold for
};

Base base_of(const Config& config, const Options& options) {
  const int nodes = options.nodes > 0 ? options.nodes : options.scan.front();
  const int64_t ranks = int64_t{nodes} * options.ranks_per_node;
  if (const auto global = config.data.global_batch)
    return {*global, std::max<int64_t>(1, *global / ranks)};
  return {config.data.local_batch * ranks, config.data.local_batch};
}

Json row_of(const Config& config, const Base& base, int nodes, const Options& options) {
  const WorldLayout layout{nodes * options.ranks_per_node, options.ranks_per_node};
  Config scaled = config;
  if (options.scan_batch > 0) {
    scaled.data.global_batch = options.scan_batch;
  } else {
    scaled.data.global_batch.reset();
    scaled.data.local_batch = base.local;
  }
  const int64_t batch = options.scan_batch > 0 ? options.scan_batch : base.local * layout.world;
  scaled = rescaled(scaled, base.batch, batch);
  Json row = {{"nodes", nodes}, {"ranks", layout.world}};
  try {
    const Resolved resolved = RunPlanner(scaled, layout).resolved();
    row["local_batch"] = resolved.local_batch;
    row["global_batch"] = resolved.global_batch;
    row["steps_per_epoch"] = resolved.steps_per_epoch;
    row["total_steps"] = resolved.total_steps;
    row.update(traffic_json(scaled, layout, options));
    if (wants_time(options)) row["time"] = method_times(scaled, layout, options);
  } catch (const ConfigError& error) {
    row["error"] = error.what();
  }
  return row;
}

std::string cell(const Json& row, const char* key, std::string (*text)(double), int width) {
  return text_of("%*s", width, ranged(row.at(key), text).c_str());
}

std::string traffic_table(const Json& rows) {
  std::string text = text_of("%6s %6s %6s %7s %7s %23s %17s %17s %15s %23s\n", "nodes", "ranks",
                             "local", "global", "steps", "between nodes", "of ddp's",
                             "saved of all", "full-rank alone", "memory per rank");
  for (const Json& row : rows) {
    text += text_of("%6d %6d", row["nodes"].get<int>(), row["ranks"].get<int>());
    if (row.contains("error")) {
      text += "  not possible: " + row["error"].get<std::string>() + "\n";
      continue;
    }
    text += text_of(" %6lld %7lld %7lld", row["local_batch"].get<long long>(),
                    row["global_batch"].get<long long>(), row["total_steps"].get<long long>());
    text += cell(row, "inter_node_sent_bytes", bytes_text, 24) +
            cell(row, "inter_node_share", percent_text, 18) +
            cell(row, "traffic_reduction", percent_text, 18) +
            cell(row, "full_rank_steps_share", percent_text, 16) +
            cell(row, "memory_bytes_per_rank", bytes_text, 24) + "\n";
  }
  return text;
}

// Hours and node-hours, a pair of columns per method.
std::string time_table(const Json& rows) {
  std::string text;
  for (const Json& row : rows) {
    if (row.contains("error")) continue;
    if (text.empty()) {
      text = "\n nodes";
      for (const Json& one : row["time"]) {
        const std::string name = one["method"].get<std::string>();
        text += text_of(" %18s %18s", (name + " hours").c_str(), "node-hours");
      }
      text += "\n";
    }
    text += text_of("%6d", row["nodes"].get<int>());
    for (const Json& one : row["time"])
      text += one.contains("error")
                  ? text_of(" %37s", "not possible")
                  : cell(one, "hours", hours_text, 19) + cell(one, "node_hours", hours_text, 19);
    text += "\n";
  }
  return text;
}

}  // namespace

Config rescaled(Config config, int64_t written_for, int64_t batch) {
  const double factor = static_cast<double>(written_for) / static_cast<double>(batch);
  const auto scaled = [&](double steps) {
    return steps > 0.0 ? std::max(1.0, std::round(steps * factor)) : steps;
  };
  const auto scale = [&](int64_t& steps) {
    steps = static_cast<int64_t>(scaled(static_cast<double>(steps)));
  };
  if (config.train.steps_per_epoch) scale(*config.train.steps_per_epoch);
  if (config.train.steps) scale(*config.train.steps);
  Config::Ab& ab = config.ab;
  for (StepCount* count : {&ab.warmup_steps, &ab.ab_steps, &ab.rebound_steps, &ab.lr_rebound_steps})
    if (count->of == StepCount::Of::kSteps) count->value = scaled(count->value);
  if (ab.compat.schedule) {
    scale(ab.compat.schedule->w);
    scale(ab.compat.schedule->s);
    scale(ab.compat.schedule->d);
  }
  return config;
}

Json scan_json(const Config& config, const Options& options) {
  if (options.scan_batch > 0 && options.step_seconds > 0.0)
    throw ConfigError(
        "--step-seconds: with --global-batch every node count has a local batch of "
        "its own; give --images-per-second instead");
  const Base base = base_of(config, options);
  TimeModel model;
  const int per_node = options.ranks_per_node,
            most = *std::max_element(options.scan.begin(), options.scan.end());
  if (wants_time(options)) model = time_model(options, {most * per_node, per_node}, base.local);
  Json rows = Json::array();
  for (const int nodes : options.scan) rows.push_back(row_of(config, base, nodes, options));
  Json json = {{"model", config.model.name},
               {"method", config.method},
               {"ranks_per_node", options.ranks_per_node},
               {"scaling", options.scan_batch > 0 ? "global_batch" : "local_batch"},
               {"written_for_global_batch", base.batch}};
  if (wants_time(options)) json["time_model"] = json_of(model, options);
  json["scan"] = rows;
  return json;
}

std::string scan_text(const Json& json) {
  const bool local = json["scaling"] == "local_batch";
  std::string text = text_of(
      "%s, method %s, %d ranks per node, constant %s batch; steps of the configuration hold for "
      "%lld "
      "samples a step and are scaled from there\n\n",
      json["model"].get<std::string>().c_str(), json["method"].get<std::string>().c_str(),
      json["ranks_per_node"].get<int>(), local ? "local" : "global",
      json["written_for_global_batch"].get<long long>());
  text += traffic_table(json["scan"]);
  if (json.contains("time_model"))
    text += time_table(json["scan"]) + "\n" + time_model_text(json["time_model"]);
  return text;
}

}  // namespace ab
