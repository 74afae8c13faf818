#include "tools/train/plan_command.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/train/plan_json.h"
#include "tools/train/plan_scan.h"
#include "tools/train/plan_text.h"

namespace ab {
namespace {

void check_nodes(int nodes, int ranks_per_node) {
  constexpr int64_t kMostRanks = 1 << 20;
  if (int64_t{nodes} * ranks_per_node > kMostRanks)
    throw ConfigError("--nodes " + std::to_string(nodes) + " with --ranks-per-node " +
                      std::to_string(ranks_per_node) + ": at most " + std::to_string(kMostRanks) +
                      " ranks can be planned");
}

void print(const Options& options, const Json& json, const std::string& text) {
  std::printf("%s\n", options.json ? json.dump(2).c_str() : text.c_str());
}

}  // namespace

int plan_command(const Options& options) {
  const Config config = load_config(options.config, options.settings);
  check_nodes(options.nodes, options.ranks_per_node);
  for (const int nodes : options.scan) check_nodes(nodes, options.ranks_per_node);
  if (!options.scan.empty()) {
    const Json json = scan_json(config, options);
    print(options, json, options.json ? "" : scan_text(json));
    return 0;
  }
  if (options.nodes == 0)
    throw ConfigError(
        "--nodes is required: the nodes of the run, or --scan with a list of them; see "
        "abtrain plan --help");
  const Json json = plan_json(config, options);
  const WorldLayout layout{options.nodes * options.ranks_per_node, options.ranks_per_node};
  print(options, json, options.json ? "" : plan_text(json, config, layout));
  return 0;
}

}  // namespace ab
