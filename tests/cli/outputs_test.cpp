// What a run leaves behind and what the other commands make of it: names of the interface, and
// numbers that must agree with one another.
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/program.h"

using namespace ab::test;
using Json = nlohmann::ordered_json;
using Names = std::vector<std::string>;

namespace {

Json json_file(const fs::path& path) {
  const Bytes bytes = read_bytes(path);
  return Json::parse(bytes.begin(), bytes.end());
}

std::vector<Json> json_lines(const fs::path& path) {
  std::ifstream file(path);
  std::vector<Json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  return lines;
}

Names keys_of(const Json& object) {
  Names keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

bool has_keys(const Json& object, const Names& keys) {
  for (const std::string& key : keys)
    if (!object.contains(key)) {
      UNSCOPED_INFO("lacks " << key);
      return false;
    }
  return true;
}

const Names kEntryKeys = {"phase", "communicator", "collective",    "purpose",   "dtype",
                          "calls", "elements",     "payload_bytes", "sent_bytes"};

const Names kPlanKeys = {"params_full",
                         "factored_layers",
                         "factored_params",
                         "gradient_bytes",
                         "phases",
                         "entries",
                         "total_sent_bytes",
                         "inter_node_sent_bytes",
                         "ddp_sent_bytes",
                         "traffic_reduction",
                         "ecr_executed",
                         "ecr_literal",
                         "memory_bytes_per_rank",
                         "compression",
                         "ddp_inter_node_sent_bytes",
                         "inter_node_share",
                         "full_rank_steps_share"};

// Twelve steps of ab on four ranks in two groups; two cycles.
struct FinishedRun {
  TempDir folder;
  std::string config = tiny_config(folder), run = (folder / "run").string();
  Outcome outcome =
      abtrain({"train", "--config", config, "--method", "ab", "--local-ranks", "4", "--out", run});
};

Json plan(const FinishedRun& run, std::vector<std::string> more) {
  std::vector<std::string> words = {"plan", "--config", run.config, "--method",
                                    "ab",   "--nodes",  "1",        "--ranks-per-node",
                                    "4",    "--json"};
  words.insert(words.end(), more.begin(), more.end());
  const Outcome outcome = abtrain(words);
  INFO(outcome.err);
  REQUIRE(outcome.exit == 0);
  return Json::parse(outcome.out);  // one object and nothing else
}

}  // namespace

TEST_CASE("a finished run, its folder, its plan and its evaluation agree") {
  const FinishedRun run;
  INFO(run.outcome.out << run.outcome.err);
  REQUIRE(run.outcome.exit == 0);
  CHECK(run.outcome.err.empty());
  CHECK(holds(run.outcome.out, {"2 groups of 2", "step 12/12", "top-1", "results in " + run.run}));
  CHECK(fs::exists(run.run + "/checkpoints/step-00000012/DONE"));

  const auto metrics = json_lines(run.run + "/metrics.jsonl");
  REQUIRE(metrics.size() == 13);  // twelve steps, one evaluation
  CHECK(keys_of(metrics[0]) == Names{"step", "epoch", "phase", "cycle", "lr", "loss", "grad_norm",
                                     "images_per_s", "step_s", "comm_wait_s"});
  // W = 3, then 3 ab and 2 rebound: warmup 1-3, ab 4-6, rebound 7-8, ab 9-11, rebound 12.
  CHECK((metrics[2]["phase"] == "warmup" && metrics[3]["phase"] == "ab"));
  CHECK((metrics[6]["phase"] == "rebound" && metrics[8]["cycle"] == 1));
  CHECK(keys_of(metrics[12]) == Names{"step", "eval"});
  CHECK(keys_of(metrics[12]["eval"]) == Names{"loss", "top1", "top5", "images"});
  CHECK(metrics[12]["eval"]["images"] == 1000);

  const auto ranks = json_lines(run.run + "/ranks.jsonl");
  CHECK(ranks.size() == 16);  // two cycles of 2 blocks x (qkv, proj, fc1, fc2)
  CHECK(keys_of(ranks[0]) == Names{"cycle", "layer", "m", "n", "k", "sigma_max", "energy_lost",
                                   "residual", "driver", "ms", "spectrum"});
  // The digits' qkv of 96 x 32: 32 singular values, at most 32 places, sigma_1 / sigma_max = 1.
  const Json& spectrum = ranks[0]["spectrum"];
  CHECK((spectrum[0][0] == 1 && spectrum[0][1] == 1.0 && spectrum.back()[0] == 32));

  const Json config = json_file(run.run + "/config.json");
  CHECK(has_keys(config, {"version", "commit", "device", "world", "hosts", "model", "ab"}));

  const Json ledger = json_file(run.run + "/ledger.json");
  CHECK(keys_of(ledger) == Names{"world", "ranks_per_node", "entries", "nodes",
                                 "per_rank_sent_bytes", "per_rank_inter_node_sent_bytes",
                                 "inter_node_sent_bytes", "total_sent_bytes"});
  CHECK(has_keys(ledger["entries"][0], kEntryKeys));

  const Json summary = json_file(run.run + "/summary.json");
  CHECK(
      has_keys(summary, {"top1_last", "top1_best", "params_full", "params_now", "compression",
                         "total_sent_bytes", "ddp_sent_bytes", "traffic_reduction", "ecr_executed",
                         "ecr_literal", "steps", "seconds", "images_per_s", "exit"}));
  CHECK((summary["exit"] == 0 && summary["steps"] == 12));
  CHECK(summary["total_sent_bytes"] == ledger["total_sent_bytes"]);
  CHECK(summary["top1_last"] == metrics[12]["eval"]["top1"]);

  const Json replay = plan(run, {"--ranks-from", run.run});
  CHECK(keys_of(replay) == kPlanKeys);
  CHECK(replay["total_sent_bytes"] == ledger["total_sent_bytes"]);
  CHECK(replay["ddp_sent_bytes"] == summary["ddp_sent_bytes"]);
  CHECK(replay["params_full"] == summary["params_full"]);

  const Outcome eval = abtrain(
      {"eval", "--config", run.config, "--checkpoint", run.run + "/checkpoints/step-00000012"});
  INFO(eval.err);
  REQUIRE(eval.exit == 0);
  char expected[64];
  std::snprintf(expected, sizeof expected, "images 1000  loss %.4f  top-1 %.2f %%",
                metrics[12]["eval"]["loss"].get<double>(),
                100.0 * summary["top1_last"].get<double>());
  CHECK(holds(eval.out, {expected}));
}

TEST_CASE("plan without a run's ranks gives intervals, and text that a person can read") {
  const FinishedRun run;
  const Json json = plan(run, {});
  CHECK(keys_of(json) == kPlanKeys);
  REQUIRE(json["total_sent_bytes"].is_object());
  CHECK(keys_of(json["total_sent_bytes"]) == Names{"low", "high"});
  CHECK(json["total_sent_bytes"]["low"] < json["total_sent_bytes"]["high"]);
  REQUIRE(json["phases"].size() == 5);
  CHECK(keys_of(json["phases"][0]) == Names{"phase", "cycle", "from", "to"});
  CHECK((json["phases"][4]["phase"] == "rebound" && json["phases"][4]["to"] == 12));
  CHECK(has_keys(json["entries"][0], kEntryKeys));
  // ddp: one row for every plan.
  const Outcome text = abtrain({"plan", "--config", run.config, "--nodes", "2", "--ranks-per-node",
                                "2", "--method", "ddp", "--link-gbit", "10"});
  CHECK(text.exit == 0);
  CHECK(holds(text.out, {"method ddp, 4 ranks on 2 nodes", "parameters", "warmup", "gradients",
                         "traffic reduction", "10 Gbit/s", "node-hours", "ab-nogroups"}));
  const Outcome scan = abtrain({"plan", "--config", run.config, "--ranks-per-node", "2", "--method",
                                "ab", "--scan", "2,4", "--json"});
  REQUIRE(scan.exit == 0);
  const Json rows = Json::parse(scan.out)["scan"];
  REQUIRE(rows.size() == 2);
  CHECK((rows[0]["ranks"] == 4 && rows[1]["ranks"] == 8));
}

TEST_CASE("wrong input of plan and eval") {
  const TempDir folder;
  const std::string config = tiny_config(folder);
  const auto line = [&](std::vector<std::string> words, int exit) {
    words.insert(words.begin() + 1, {"--config", config});
    const Outcome outcome = abtrain(words);
    CHECK(outcome.exit == exit);
    CHECK(outcome.out.empty());
    CHECK(error_lines(outcome).size() == 1);
    return outcome.err;
  };
  const std::string nowhere = (folder / "nowhere").string();
  CHECK(holds(line({"eval", "--checkpoint", nowhere}, 3), {"--checkpoint " + nowhere, "give"}));
  CHECK(holds(line({"plan", "--nodes", "1", "--ranks-per-node", "4", "--method", "ab",
                    "--ranks-from", nowhere},
                   2),
              {"--ranks-from " + nowhere, "finished run"}));
  write_file(folder / "odd/ranks.jsonl", {'{', '}', '\n'});
  CHECK(holds(line({"plan", "--nodes", "1", "--ranks-per-node", "4", "--method", "ab",
                    "--ranks-from", (folder / "odd").string()},
                   2),
              {"odd/ranks.jsonl", "found {}", "layer"}));
  CHECK(holds(line({"plan", "--ranks-per-node", "4"}, 2), {"--nodes is required", "--scan"}));
  CHECK(holds(line({"plan", "--ranks-per-node", "4", "--nodes", "2", "--step-seconds", "1"}, 2),
              {"--link-gbit"}));
  // 2^20 nodes of 2^12 ranks do not fit 32 bits.
  CHECK(holds(line({"plan", "--nodes", "1048576", "--ranks-per-node", "4096"}, 2),
              {"--nodes 1048576", "at most 1048576 ranks"}));
}
