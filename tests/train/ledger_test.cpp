// Plan and ledger are two ways to the same number: they must agree in every entry, to the byte.
#include <iterator>
#include <set>
#include <sstream>

#include "tests/catch.h"
#include "tests/train/random_config.h"
#include "tests/train/run_fixture.h"

using namespace ab;

namespace {

void check_plan(const Config& config, int ranks, int ranks_per_node) {
  const auto run = run_training(config, ranks, ranks_per_node);
  const auto plan = planned(config, ranks, ranks_per_node, run.result.layer_ranks);
  for (const auto& [key, entry] : run.ledger) {
    INFO("ledger " << name_of(key.phase) << " " << key.communicator << " "
                   << name_of(key.collective) << " " << name_of(key.purpose));
    REQUIRE(plan.count(key) == 1);
    const LedgerEntry& expected = plan.at(key);
    CHECK(entry.calls == expected.calls);
    CHECK(entry.elements == expected.elements);
    CHECK(entry.payload_bytes == expected.payload_bytes);
    CHECK(entry.sent_bytes == expected.sent_bytes);
    CHECK(entry.inter_node_bytes == expected.inter_node_bytes);
  }
  REQUIRE(plan.size() == run.ledger.size());
}

}  // namespace

TEST_CASE("the ledger equals the plan: methods, merges, models") {
  const std::string model = GENERATE("vit", "resnet");
  const std::string method = GENERATE("ddp", "ab", "ab-nogroups", "powersgd", "local-sgd");
  CAPTURE(model, method);
  check_plan(tiny_config(model, {"method=" + method}), 4, 2);
}

TEST_CASE("the ledger equals the plan: settings of the baselines") {
  const std::string changes = GENERATE(
      "powersgd powersgd.rank=2 powersgd.min_compression=0 powersgd.start_step=0",
      "powersgd comm.reduce_dtype=bf16 powersgd.start_step=50%",
      "powersgd powersgd.min_compression=1e9", "powersgd train.sync_bn=off ab.exclude=[\"layer1\"]",
      "local-sgd local_sgd.start_step=0 local_sgd.period=5 train.eval_every=0.5",
      "local-sgd local_sgd.moments=average train.sync_bn=off checkpoint.every_steps=4",
      "local-sgd comm.bucket_mb=0.001 local_sgd.group_size=1 train.sync_bn=world",
      "local-sgd comm.reduce_dtype=bf16 local_sgd.start_step=30 ");
  CAPTURE(changes);
  std::istringstream words("method=" + changes);
  const std::vector<std::string> settings{std::istream_iterator<std::string>(words), {}};
  check_plan(tiny_config("resnet", settings), 4, 2);
}

TEST_CASE("the ledger equals the plan: switches that change what travels") {
  const std::string change = GENERATE(
      "train.sync_bn=off", "train.sync_bn=world", "ab.compat.moments=true",
      "comm.reduce_dtype=bf16", "comm.bucket_mb=0.001", "train.log_every=5", "ab.guard=true",
      "train.eval_every=0.5", "ab.merge=learned", "checkpoint.ask_every=1", "train.check_every=2");
  CAPTURE(change);
  check_plan(tiny_config("resnet", {"method=ab", change}), 4, 2);
}

TEST_CASE("the ledger equals the plan: worlds and groups") {
  const auto [ranks, group, per_node] =
      GENERATE(table<int, int, int>({{1, 1, 1}, {3, 1, 1}, {6, 2, 3}, {6, 3, 3}, {2, 1, 2}}));
  CAPTURE(ranks, group, per_node);
  const std::string method = ranks == 1 ? "ab-nogroups" : "ab";
  check_plan(tiny_config("vit", {"method=" + method, "ab.group_size=" + std::to_string(group)}),
             ranks, per_node);
}

TEST_CASE("ddp's gradients cost 2 (n-1) x parameters x 4 bytes a step over all ranks") {
  const auto run = run_training(tiny_config("vit", {"train.steps=5"}), 4);
  const LedgerKey key{Phase::kWarmup, "world", Collective::kAllReduce, Purpose::kGradients,
                      DType::kFloat32};
  REQUIRE(run.ledger.at(key).sent_bytes == 2 * 3 * run.result.params_full * 4 * 5);
  REQUIRE(run.ledger.at(key).payload_bytes == 4 * run.result.params_full * 4 * 5);
}

TEST_CASE("batch statistics travel among those who average gradients, or as told") {
  const std::string sync = GENERATE("phase", "world", "off");
  CAPTURE(sync);
  const auto run = run_training(tiny_config("resnet", {"method=ab", "train.sync_bn=" + sync}), 4);
  std::map<Phase, std::map<std::string, int64_t>> calls;  // of training steps, by communicator
  for (const auto& [key, entry] : run.ledger)
    if (key.purpose == Purpose::kBatchNorm) calls[key.phase][key.communicator] += entry.calls;
  if (sync == "off") {
    CHECK(calls.empty());
    return;
  }
  // Per step and rank in each of the 20 norms of a ResNet-18: the mean, then the squared deviations
  // from it, and one sum backward.
  const int64_t per_step = 4 * 20 * 3;
  const std::string in_groups = sync == "phase" ? "group" : "world";
  const std::map<Phase, std::map<std::string, int64_t>> expected = {
      {Phase::kWarmup, {{"world", 3 * per_step}}},
      {Phase::kAb, {{in_groups, 8 * per_step}}},  // steps 4 to 7 and 9 to 12
      {Phase::kRebound, {{"world", 1 * per_step}}}};
  CHECK(calls == expected);
}

TEST_CASE(
    "groups are silent towards each other: with groups of one only the question to stop is sent") {
  const auto run = run_training(
      tiny_config("vit", {"method=ab", "ab.group_size=1", "checkpoint.ask_every=4"}), 4);
  int64_t in_groups = 0;
  for (const auto& [key, entry] : run.ledger)
    if (key.phase == Phase::kAb) in_groups += entry.sent_bytes;
  // Asked after steps 4, 8 and not 12, the end; 4 lies in an AB phase (4..7), 8 in a rebound. Eight
  // bytes, over four ranks 2 (n-1) times.
  REQUIRE(in_groups == 2 * 3 * 8);
}

TEST_CASE("the ledger equals the plan: 24 configurations drawn at random", "[random]") {
  std::set<std::string> different, used;
  for (uint64_t index = 0; index < 24; ++index) {
    const DrawnRun drawn = draw_run(index);
    INFO("draw " << index << ": " << drawn.text());
    check_plan(tiny_config(drawn.model, drawn.settings), drawn.world, drawn.ranks_per_node);
    different.insert(drawn.text());
    used.insert(drawn.settings.begin(), drawn.settings.end());
  }
  CHECK(different.size() == 24);
  for (const char* setting :
       {"method=ddp", "method=ab", "method=ab-nogroups", "method=powersgd", "method=local-sgd",
        "ab.merge=all", "ab.merge=learned", "ab.merge=mean_of_products", "ab.outer=nesterov",
        "train.precision=bf16", "comm.reduce_dtype=bf16", "local_sgd.moments=average"})
    CHECK(used.count(setting) == 1);
}
