#include "tools/train/plan_command.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "engine/error.h"
#include "tools/train/datasets.h"
#include "tools/train/efficiency.h"
#include "tools/train/memory_plan.h"
#include "tools/train/plan_text.h"
#include "tools/train/run_folder.h"

namespace ab {
namespace {

// One column of the plan: what follows if the layers keep these ranks.
struct Outcome {
  std::map<LedgerKey, LedgerEntry> entries;
  int64_t sent = 0, inter_node = 0, memory = 0;
  double reduction = 0.0, executed = 0.0, literal = 0.0;
};

int64_t factored_elements(const Replica& replica, const std::vector<int64_t>& ranks) {
  int64_t total = replica.full_elements;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const FactoredWeight& weight = *replica.factorable[i];
    if (ranks[i] > 0) total += ranks[i] * (weight.m() + weight.n()) - weight.m() * weight.n();
  }
  return total;
}

class Plan {
 public:
  Plan(const Config& config, const WorldLayout& layout, int64_t images, const StoredImage& stored)
      : config_(config),
        layout_(layout),
        stored_(stored),
        resolved_(resolve(config, images, layout.world, layout.ranks_per_node)),
        plan_(make_run_plan(config, resolved_)),
        dry_(Device::create(DeviceKind::kDry)),
        replica_(config, resolved_, *dry_) {
    Config ddp = config;
    ddp.method = "ddp";
    const Resolved plain = resolve(ddp, images, layout.world, layout.ranks_per_node);
    ddp_sent_ = sent_bytes(plan_traffic(ddp, plain, layout, replica_, {}));
  }

  Outcome outcome(const LayerRanks& ranks) {
    Outcome o;
    o.entries = plan_traffic(config_, resolved_, layout_, replica_, ranks);
    o.sent = sent_bytes(o.entries);
    o.inter_node = inter_node_bytes(o.entries);
    o.reduction = traffic_reduction_of(o.sent, ddp_sent_);
    std::vector<int64_t> largest;
    for (const auto& row : ranks) {
      largest.resize(row.size());
      for (size_t i = 0; i < row.size(); ++i) largest[i] = std::max(largest[i], row[i]);
    }
    const double compression =
        ranks.empty()
            ? 1.0
            : compression_of(replica_.full_elements, factored_elements(replica_, ranks.back()));
    const Method method = method_of(config_);
    o.executed = ecr_executed(method, plan_.spans, compression);
    o.literal = ecr_literal(method, plan_.spans, compression);
    o.memory = static_cast<int64_t>(plan_memory(config_, resolved_, stored_, largest));
    return o;
  }

  LayerRanks ranks_of_run(const std::string& folder) const;
  Json json(const Outcome& low, const Outcome& high) const;

  Replica& replica() { return replica_; }
  const RunPlan& run_plan() const { return plan_; }

 private:
  const Config& config_;
  WorldLayout layout_;
  StoredImage stored_;
  Resolved resolved_;
  RunPlan plan_;
  std::unique_ptr<Device> dry_;
  Replica replica_;
  int64_t ddp_sent_ = 0;
};

[[noreturn]] void throw_missing_rank(const std::string& path, const std::string& layer,
                                     size_t cycle) {
  throw ConfigError(path + ": no rank for layer " + layer + " in cycle " + std::to_string(cycle) +
                    "; the run must have the plan's model and schedule");
}

// What a run recorded in ranks.jsonl, brought into this plan's order of layers.
LayerRanks Plan::ranks_of_run(const std::string& folder) const {
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

// A number, or {"low", "high"} where the ranks are not known.
template <class T>
Json between(T a, T b) {
  if (a == b) return a;
  return {{"low", std::min(a, b)}, {"high", std::max(a, b)}};
}

Json Plan::json(const Outcome& low, const Outcome& high) const {
  Json phases = Json::array();
  for (const PhaseSpan& span : plan_.spans)
    phases.push_back({{"phase", name_of(span.phase)},
                      {"cycle", span.cycle},
                      {"from", span.from},
                      {"to", span.to}});
  Ledger a, b;
  for (const auto& [key, entry] : low.entries) a.add(key, entry);
  for (const auto& [key, entry] : high.entries) b.add(key, entry);
  Json entries = ledger_entries_json(a), upper = ledger_entries_json(b);
  for (size_t i = 0; i < entries.size(); ++i)
    for (const char* field : {"calls", "elements", "payload_bytes", "sent_bytes"})
      entries[i][field] = between(entries[i][field].get<int64_t>(), upper[i][field].get<int64_t>());
  int64_t factored = 0;
  for (const FactoredWeight* weight : replica_.factorable) factored += weight->m() * weight->n();
  return {{"params_full", replica_.full_elements},
          {"factored_layers", replica_.factorable.size()},
          {"factored_params", factored},
          {"gradient_bytes", replica_.full_elements * 4},
          {"phases", phases},
          {"entries", entries},
          {"total_sent_bytes", between(low.sent, high.sent)},
          {"inter_node_sent_bytes", between(low.inter_node, high.inter_node)},
          {"ddp_sent_bytes", ddp_sent_},
          {"traffic_reduction", between(low.reduction, high.reduction)},
          {"ecr_executed", between(low.executed, high.executed)},
          {"ecr_literal", between(low.literal, high.literal)},
          {"memory_bytes_per_rank", between(low.memory, high.memory)}};
}

// Images of an epoch: from train.steps_per_epoch where the config says so, else from the data.
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

}  // namespace

int plan_command(const Options& options) {
  const Config config = load_config(options.config, options.settings);
  constexpr int64_t kMostRanks = 1 << 20;
  if (int64_t{options.nodes} * options.ranks_per_node > kMostRanks)
    throw ConfigError("--nodes " + std::to_string(options.nodes) + " with --ranks-per-node " +
                      std::to_string(options.ranks_per_node) + ": at most " +
                      std::to_string(kMostRanks) + " ranks can be planned");
  const WorldLayout layout{options.nodes * options.ranks_per_node, options.ranks_per_node};
  StoredImage stored;
  const int64_t images = count_images(config, layout.world, stored);
  Plan plan(config, layout, images, stored);
  const int cycles = count_cycles(plan.run_plan().spans);
  LayerRanks low = lowest_ranks(plan.replica(), cycles);
  LayerRanks high = highest_ranks(plan.replica(), cycles);
  if (!options.ranks_from.empty()) low = high = plan.ranks_of_run(options.ranks_from);
  const Outcome least = plan.outcome(low);
  const Outcome most = low == high ? least : plan.outcome(high);
  const Json json = plan.json(least, most);
  std::printf("%s\n", options.json ? json.dump(2).c_str()
                                   : plan_text(json, config, layout, options.link_gbit).c_str());
  return 0;
}

}  // namespace ab
