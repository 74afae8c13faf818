#include "tools/train/run_planner.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/train/datasets.h"
#include "tools/train/efficiency.h"
#include "tools/train/plan_format.h"

namespace ab {
namespace {

int64_t factored_elements(const Replica& replica, const std::vector<int64_t>& ranks) {
  int64_t total = replica.full_elements;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const FactoredWeight& weight = *replica.factorable[i];
    if (ranks[i] > 0) total += ranks[i] * (weight.m() + weight.n()) - weight.m() * weight.n();
  }
  return total;
}

double compression_at(const Replica& replica, const std::vector<int64_t>& ranks) {
  return compression_of(replica.full_elements, factored_elements(replica, ranks));
}

[[noreturn]] void throw_missing_rank(const std::string& path, const std::string& layer,
                                     size_t cycle) {
  throw ConfigError(path + ": no rank for layer " + layer + " in cycle " + std::to_string(cycle) +
                    "; the run must have the plan's model and schedule");
}

Resolved resolved_on(const Config& config, const WorldLayout& layout, StoredImage& stored) {
  return resolve(config, count_images(config, layout.world, stored), layout.world,
                 layout.ranks_per_node);
}

}  // namespace

int64_t count_images(const Config& config, int world, StoredImage& stored) {
  if (config.train.steps_per_epoch) {
    const int64_t batch = config.data.global_batch.value_or(config.data.local_batch * world);
    return *config.train.steps_per_epoch * batch;
  }
  try {
    const auto images = open_fitting_dataset(config, Split::kTrain);
    stored = {images->height(), images->width(), images->channels()};
    return images->size();
  } catch (const DataError& error) {
    throw DataError(std::string(error.what()) +
                    "; without the images a plan needs train.steps_per_epoch");
  }
}

RunPlanner::RunPlanner(const Config& config, const WorldLayout& layout)
    : config_(config),
      layout_(layout),
      resolved_(resolved_on(config_, layout, stored_)),
      plan_(make_run_plan(config_, resolved_)),
      dry_(Device::create(DeviceKind::kDry)),
      replica_(config_, resolved_, *dry_) {}

Outcome RunPlanner::outcome(const LayerRanks& ranks, std::optional<double> given) {
  Outcome o;
  o.entries = plan_traffic(config_, resolved_, layout_, replica_, ranks, &o.first_rank);
  o.sent = sent_bytes(o.entries);
  o.inter_node = inter_node_bytes(o.entries);
  for (const auto& [key, entry] : o.entries)
    if (key.phase == Phase::kWarmup || key.phase == Phase::kRebound)
      o.full_rank_sent += entry.sent_bytes;
  if (!ranks.empty()) o.compression = compression_at(replica_, ranks.back());
  o.compression = given.value_or(o.compression);
  const Method method = method_of(config_);
  o.executed = ecr_executed(method, plan_.spans, o.compression);
  o.literal = ecr_literal(method, plan_.spans, o.compression);
  return o;
}

int64_t RunPlanner::memory_bytes(const LayerRanks& ranks) const {
  std::vector<int64_t> largest;
  for (const auto& row : ranks) {
    largest.resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) largest[i] = std::max(largest[i], row[i]);
  }
  return static_cast<int64_t>(plan_memory(config_, resolved_, stored_, largest));
}

TimePlan RunPlanner::time(const Outcome& outcome, const TimeModel& model) const {
  return plan_time(outcome.first_rank, plan_.spans, layout_, resolved_.group_size, model);
}

LayerRanks RunPlanner::lowest() const {
  return lowest_ranks(replica_, count_cycles(plan_.spans));
}
LayerRanks RunPlanner::highest() const {
  return highest_ranks(replica_, count_cycles(plan_.spans));
}

LayerRanks RunPlanner::of_run(const std::string& folder) const {
  const std::string path = folder + "/ranks.jsonl";
  std::ifstream file(path);
  if (!file)
    throw ConfigError("--ranks-from " + folder +
                      ": no ranks.jsonl in it; give the folder of a finished run");
  LayerRanks ranks(static_cast<size_t>(count_cycles(plan_.spans)),
                   std::vector<int64_t>(replica_.factorable.size(), -1));
  for (std::string line; std::getline(file, line);) {
    const Json row = parse_json_text(line, path);
    try {
      const size_t cycle = row.at("cycle").get<size_t>();
      for (size_t i = 0; i < replica_.factorable.size(); ++i)
        if (cycle < ranks.size() && replica_.factorable[i]->name() == row.at("layer"))
          ranks[cycle][i] = row.at("k").get<int64_t>();
    } catch (const Json::exception&) {
      throw ConfigError(path + ": found " + line + R"(, expected {"cycle", "layer", "k", ...})");
    }
  }
  for (size_t cycle = 0; cycle < ranks.size(); ++cycle)
    for (size_t i = 0; i < ranks[cycle].size(); ++i)
      if (ranks[cycle][i] < 0) throw_missing_rank(path, replica_.factorable[i]->name(), cycle);
  return ranks;
}

LayerRanks RunPlanner::of_compression(double c) const {
  const auto at = [&](double share) {
    std::vector<int64_t> row;
    for (const FactoredWeight* weight : replica_.factorable)
      row.push_back(std::max<int64_t>(1, std::llround(share * static_cast<double>(weight->n()))));
    return row;
  };
  const double most = compression_at(replica_, at(0.0)), least = compression_at(replica_, at(1.0));
  if (c > most || c < least)
    throw ConfigError("--compression " + text_of("%g", c) + ": the layers of " +
                      config_.model.name +
                      text_of(" give %.2f (full rank) to %.2f (rank 1)", least, most));
  double low = 0.0, high = 1.0;  // compressed more and less than c
  for (int i = 0; i < 40; ++i) {
    const double middle = 0.5 * (low + high);
    (compression_at(replica_, at(middle)) > c ? low : high) = middle;
  }
  return LayerRanks(static_cast<size_t>(count_cycles(plan_.spans)), at(high));
}

}  // namespace ab
