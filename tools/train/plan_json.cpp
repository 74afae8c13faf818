#include "tools/train/plan_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/train/efficiency.h"
#include "tools/train/plan_format.h"
#include "tools/train/plan_methods.h"
#include "tools/train/run_folder.h"

namespace ab {
namespace {

// One run and what follows from the two ends of its ranks.
struct Case {
  Case(const Config& config, const WorldLayout& layout, const Options& options)
      : planner(config, layout),
        ranks(rank_interval(planner, options)),
        low(planner.outcome(ranks.low, given_compression(options))),
        high(planner.outcome(ranks.high, given_compression(options))) {}

  RunPlanner planner;
  RankInterval ranks;
  Outcome low, high;
};

Outcome ddp_outcome(Config config, const WorldLayout& layout) {
  config.method = "ddp";
  return RunPlanner(config, layout).outcome({});
}

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

Json traffic_of(const Case& run) {
  const Outcome ddp = ddp_outcome(run.planner.config(), run.planner.layout());
  const Outcome &a = run.low, &b = run.high;
  return {{"total_sent_bytes", between(a.sent, b.sent)},
          {"inter_node_sent_bytes", between(a.inter_node, b.inter_node)},
          {"ddp_sent_bytes", ddp.sent},
          {"traffic_reduction",
           between(traffic_reduction_of(a.sent, ddp.sent), traffic_reduction_of(b.sent, ddp.sent))},
          {"ecr_executed", between(a.executed, b.executed)},
          {"ecr_literal", between(a.literal, b.literal)},
          {"memory_bytes_per_rank", between(run.planner.memory_bytes(run.ranks.low),
                                            run.planner.memory_bytes(run.ranks.high))},
          {"compression", between(a.compression, b.compression)},
          {"ddp_inter_node_sent_bytes", ddp.inter_node},
          {"inter_node_share",
           between(share(a.inter_node, ddp.inter_node), share(b.inter_node, ddp.inter_node))},
          {"full_rank_steps_share", share(a.full_rank_sent, ddp.sent)}};
}

Json phases_of(const std::vector<PhaseSpan>& spans) {
  Json phases = Json::array();
  for (const PhaseSpan& span : spans)
    phases.push_back({{"phase", name_of(span.phase)},
                      {"cycle", span.cycle},
                      {"from", span.from},
                      {"to", span.to}});
  return phases;
}

Json entries_of(const Case& run) {
  Ledger a, b;
  for (const auto& [key, entry] : run.low.entries) a.add(key, entry);
  for (const auto& [key, entry] : run.high.entries) b.add(key, entry);
  Json entries = ledger_entries_json(a), upper = ledger_entries_json(b);
  for (size_t i = 0; i < entries.size(); ++i)
    for (const char* field : {"calls", "elements", "payload_bytes", "sent_bytes"})
      entries[i][field] = between(entries[i][field].get<int64_t>(), upper[i][field].get<int64_t>());
  return entries;
}

}  // namespace

Json traffic_json(const Config& config, const WorldLayout& layout, const Options& options) {
  return traffic_of(Case(config, layout, options));
}

Json plan_json(const Config& config, const Options& options) {
  const WorldLayout layout{options.nodes * options.ranks_per_node, options.ranks_per_node};
  const Case run(config, layout, options);
  const Replica& replica = run.planner.replica();
  int64_t factored = 0;
  for (const FactoredWeight* weight : replica.factorable) factored += weight->m() * weight->n();
  Json json = {{"params_full", replica.full_elements},
               {"factored_layers", replica.factorable.size()},
               {"factored_params", factored},
               {"gradient_bytes", replica.full_elements * 4},
               {"phases", phases_of(run.planner.run_plan().spans)},
               {"entries", entries_of(run)}};
  json.update(traffic_of(run));
  if (wants_time(options)) {
    const int64_t local = run.planner.resolved().local_batch;
    json["time"] = {{"model", json_of(time_model(options, layout, local), options)},
                    {"methods", method_times(config, layout, options)}};
  }
  return json;
}

}  // namespace ab
