#include "tools/train/plan_methods.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/train/plan_format.h"

namespace ab {
namespace {

constexpr double kBytesPerGbit = 1e9 / 8.0;

Json phases_json(const TimePlan& low, const TimePlan& high) {
  Json phases = Json::array();
  for (size_t i = 0; i < low.phases.size(); ++i) {
    const PhaseTime &a = low.phases[i], &b = high.phases[i];
    phases.push_back({{"phase", name_of(a.phase)},
                      {"steps", a.steps},
                      {"compute_s", a.compute},
                      {"communication_s", between(a.communication, b.communication)},
                      {"waiting_s", between(a.waiting, b.waiting)}});
  }
  return phases;
}

Json method_time(const Config& config, const WorldLayout& layout, const Options& options) {
  RunPlanner planner(config, layout);
  const RankInterval ranks = rank_interval(planner, options);
  const TimeModel model = time_model(options, layout, planner.resolved().local_batch);
  const Outcome least = planner.outcome(ranks.low), most = planner.outcome(ranks.high);
  const TimePlan a = planner.time(least, model), b = planner.time(most, model);
  const double nodes = static_cast<double>(layout.world) / layout.ranks_per_node;
  const auto images =
      static_cast<double>(planner.resolved().total_steps * planner.resolved().global_batch);
  const auto per = [](double part, double whole) { return whole > 0.0 ? part / whole : 0.0; };
  const double hours_a = a.seconds() / 3600.0, hours_b = b.seconds() / 3600.0;
  Json json = {
      {"method", config.method},
      {"phases", phases_json(a, b)},
      {"seconds", between(a.seconds(), b.seconds())},
      {"hours", between(hours_a, hours_b)},
      {"node_hours", between(hours_a * nodes, hours_b * nodes)},
      {"waiting_share", between(per(a.waiting(), a.seconds()), per(b.waiting(), b.seconds()))}};
  if (model.step_seconds > 0.0)
    json["images_per_s"] = between(per(images, a.seconds()), per(images, b.seconds()));
  json["inter_node_sent_bytes"] = between(least.inter_node, most.inter_node);
  return json;
}

}  // namespace

RankInterval rank_interval(const RunPlanner& planner, const Options& options) {
  if (count_cycles(planner.run_plan().spans) == 0) return {};
  if (!options.ranks_from.empty()) {
    const LayerRanks ranks = planner.of_run(options.ranks_from);
    return {ranks, ranks};
  }
  if (options.compression > 0.0) {
    const LayerRanks ranks = planner.of_compression(options.compression);
    return {ranks, ranks};
  }
  return {planner.lowest(), planner.highest()};
}

std::optional<double> given_compression(const Options& options) {
  if (options.compression > 0.0) return options.compression;
  return {};
}

bool wants_time(const Options& options) {
  return options.link_gbit > 0.0 || options.node_link_gbit > 0.0 || options.step_seconds > 0.0 ||
         options.images_per_second > 0.0 || options.link_latency_us > 0.0 ||
         options.node_latency_us >= 0.0;
}

TimeModel time_model(const Options& options, const WorldLayout& layout, int64_t local_batch) {
  const bool many = layout.world > layout.ranks_per_node;
  const double inside = options.node_link_gbit > 0.0 ? options.node_link_gbit : options.link_gbit;
  if ((many && options.link_gbit <= 0.0) || (layout.ranks_per_node > 1 && inside <= 0.0))
    throw ConfigError(
        std::string("times of a run need the speed of its links: give --link-gbit, ") +
        (many ? "between nodes, and --node-link-gbit inside them"
              : "or --node-link-gbit for one node"));
  TimeModel model;
  model.links.between = {options.link_gbit * kBytesPerGbit, options.link_latency_us * 1e-6};
  model.links.inside = {
      inside * kBytesPerGbit,
      (options.node_latency_us >= 0.0 ? options.node_latency_us : options.link_latency_us) * 1e-6};
  model.step_seconds = options.images_per_second > 0.0
                           ? static_cast<double>(local_batch) / options.images_per_second
                           : options.step_seconds;
  model.overlap = options.overlap;
  return model;
}

Json json_of(const TimeModel& model, const Options& options) {
  Json json;
  if (options.images_per_second > 0.0)
    json["images_per_second"] = options.images_per_second;
  else
    json["step_seconds"] = model.step_seconds;
  json.update({{"overlap", model.overlap},
               {"collectives", "ring"},
               {"link_gbit", options.link_gbit},
               {"link_latency_us", options.link_latency_us},
               {"node_link_gbit", model.links.inside.bytes_per_s / kBytesPerGbit},
               {"node_latency_us", model.links.inside.latency_s * 1e6}});
  return json;
}

Json method_times(const Config& config, const WorldLayout& layout, const Options& options) {
  std::vector<std::string> methods = {"ddp", "ab", "ab-nogroups"};
  if (std::find(methods.begin(), methods.end(), config.method) == methods.end())
    methods.push_back(config.method);
  Json rows = Json::array();
  for (const std::string& method : methods) {
    Config one = config;
    one.method = method;
    try {
      rows.push_back(method_time(one, layout, options));
    } catch (const ConfigError& error) {
      if (method == config.method) throw;
      rows.push_back({{"method", method}, {"error", error.what()}});
    }
  }
  return rows;
}

}  // namespace ab
