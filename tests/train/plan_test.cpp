// The planner's numbers against closed forms: shares and ECR of the published settings, the paper's
// sizes, compressions, and tables over node counts.
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tools/train/plan_format.h"
#include "tools/train/plan_json.h"
#include "tools/train/plan_scan.h"
#include "tools/train/plan_text.h"

namespace {

using namespace ab;
using Catch::Matchers::Contains;

const std::string kConfigs = AB_SOURCE_DIR "/models/configs/";

// The plan as the command line asks for it.
struct Asked {
  Options options;
  Config config;
};
Asked asked(const std::string& file, std::vector<std::string> words) {
  words.insert(words.begin(), {"plan", "--config", kConfigs + file, "--ranks-per-node", "4"});
  Asked ask{parse_options(words), {}};
  ask.config = load_config(ask.options.config, ask.options.settings);
  return ask;
}
Json plan(const std::string& file, const std::vector<std::string>& words) {
  const Asked ask = asked(file, words);
  return plan_json(ask.config, ask.options);
}
std::string text(const std::string& file, const std::vector<std::string>& words) {
  const Asked ask = asked(file, words);
  return plan_text(plan_json(ask.config, ask.options), ask.config, {ask.options.nodes * 4, 4});
}
Json scan(const std::string& file, const std::vector<std::string>& words) {
  const Asked ask = asked(file, words);
  return scan_json(ask.config, ask.options);
}

double number(const Json& value, const char* end) {
  return value.is_object() ? value[end].get<double>() : value.get<double>();
}

}  // namespace

TEST_CASE("the shipped configurations have the paper's sizes", "[plan]") {
  struct Size {
    const char* file;
    int64_t parameters, gradient_bytes, layers, factored;
  };
  const Size sizes[] = {
      {"imagenet/vit_b16_4k.json", 86'540'008, 346'160'032, 48, 84'934'656},
      {"imagenet/resnet50_4k.json", 25'557'032, 102'228'128, 52, 23'445'504},
      {"cifar10/vgg16.json", 134'301'514, 537'206'056, 14, 134'246'400},
      {"cifar100/mini_vit.json", 42'753'892, 171'015'568, 24, 42'467'328},
  };
  for (const Size& size : sizes) {
    INFO(size.file);
    const Json json = plan(size.file, {"--nodes", "2"});
    CHECK(json["params_full"] == size.parameters);
    CHECK(json["gradient_bytes"] == size.gradient_bytes);
    CHECK(json["factored_layers"] == size.layers);
    CHECK(json["factored_params"] == size.factored);
  }
}

TEST_CASE("ResNet-50 4k: 28.0 % of ddp's bytes in full-rank steps, and our full count", "[plan]") {
  const Json json = plan("imagenet/resnet50_4k.json", {"--method", "ab", "--nodes", "4"});
  // 12,600 of 45,000 steps are at full rank; hashes, evaluations and the like are in ddp's bytes
  // too.
  CHECK(json["full_rank_steps_share"].get<double>() == Approx(0.28).epsilon(1e-5));
  // On top of them come twelve merges: A and B (0 to 25.5 M elements at rank 1 or full rank), three
  // times what is unfactored, statistics: less than twelve times two steps of ddp's 45,000.
  const double low = number(json["inter_node_share"], "low");
  const double high = number(json["inter_node_share"], "high");
  CHECK((0.28 < low && low < high && high < 0.28 + 12.0 * 2.0 / 45000.0));
  CHECK_THAT(
      text("imagenet/resnet50_4k.json", {"--method", "ab", "--nodes", "4"}),
      Contains("full-rank steps alone 28.0 % of ddp's bytes (the paper's count)\n") &&
          Contains("everything counted   28.01 % to 28.04 % of ddp's bytes between nodes, "));
  // ViT-B/16: 16,800 of 45,000.
  const Json vit = plan("imagenet/vit_b16_4k.json", {"--method", "ab", "--nodes", "4"});
  CHECK(vit["full_rank_steps_share"].get<double>() == Approx(16800.0 / 45000.0).epsilon(1e-5));
  // Without groups the same steps are at full rank.
  const Json no_groups =
      plan("imagenet/resnet50_4k.json", {"--method", "ab-nogroups", "--nodes", "4"});
  CHECK(no_groups["full_rank_steps_share"].get<double>() == Approx(0.28).epsilon(1e-5));
  const Json ddp = plan("imagenet/resnet50_4k.json", {"--nodes", "4"});
  CHECK(ddp["full_rank_steps_share"].get<double>() == Approx(1.0).epsilon(1e-5));
  CHECK(ddp["inter_node_share"] == 1.0);
}

TEST_CASE("ECR of the paper's rows without groups: 15.94 and 72.95", "[plan]") {
  // Eq. 4 with F = 25 and L = 75 is 75 - 75/c: 15.94 from c = 1.27, 72.95 from c = 36.6.
  const auto literal = [](const char* file, const char* method, const char* compression) {
    const Json json =
        plan(file, {"--method", method, "--nodes", "4", "--compression", compression});
    return number_text(json["ecr_literal"].get<double>());
  };
  CHECK(literal("imagenet/resnet50_4k.json", "ab-nogroups", "1.27") == "15.94");
  CHECK(literal("imagenet/vit_b16_4k.json", "ab-nogroups", "1.27") == "15.94");
  CHECK(literal("cifar10/vgg16.json", "ab-nogroups", "36.6") == "72.95");
  CHECK_THAT(text("cifar10/vgg16.json",
                  {"--method", "ab-nogroups", "--nodes", "2", "--compression", "36.6"}),
             Contains("compression          36.60 : 1\n") && Contains(", 72.95 with the paper's"));
  // As executed 28 % of the steps are at full rank: 72 - 72/1.27.
  const Json executed = plan("imagenet/resnet50_4k.json",
                             {"--method", "ab-nogroups", "--nodes", "4", "--compression", "1.27"});
  CHECK(executed["ecr_executed"].get<double>() == Approx(72.0 - 72.0 / 1.27));
}

TEST_CASE("--compression takes the same share of every layer's rank", "[plan]") {
  const Asked ask = asked("imagenet/resnet50_4k.json", {"--method", "ab", "--nodes", "4"});
  RunPlanner planner(ask.config, {16, 4});
  for (const double c : {0.9, 1.0, 1.39, 3.0, 10.0}) {
    const LayerRanks ranks = planner.of_compression(c);
    REQUIRE(ranks.size() == 12);
    // A rank more or less in each of 52 layers is 0.3 % of the parameters.
    CHECK(planner.outcome(ranks).compression == Approx(c).epsilon(0.01));
    CHECK(planner.outcome(ranks, c).compression == c);
  }
  CHECK_THROWS_WITH(planner.of_compression(100.0),
                    Contains("--compression 100") && Contains("rank 1"));
  CHECK_THROWS_WITH(planner.of_compression(0.1), Contains("full rank"));
}

TEST_CASE("a table over node counts with a constant local batch has the paper's sizes", "[plan]") {
  const Json json = scan("imagenet/resnet50_4k.json",
                         {"--method", "ab", "--nodes", "4", "--scan", "2,4,8,16,32"});
  CHECK((json["scaling"] == "local_batch" && json["written_for_global_batch"] == 4096));
  REQUIRE(json["scan"].size() == 5);
  const int64_t per_epoch[] = {600, 300, 150, 75, 38};  // 37.5 rounds up
  for (int i = 0; i < 5; ++i) {
    const Json& row = json["scan"][i];
    const int nodes = 2 << i;
    CHECK((row["nodes"] == nodes && row["ranks"] == 4 * nodes && row["local_batch"] == 256));
    CHECK((row["global_batch"] == 1024 * nodes && row["steps_per_epoch"] == per_epoch[i]));
    CHECK(row["total_steps"] == 150 * per_epoch[i]);
    // W, S, D are scaled with the steps.
    CHECK(row["full_rank_steps_share"].get<double>() == Approx(0.28).epsilon(0.03));
  }
  // The row of the configuration's own size is its plan.
  Json own = plan("imagenet/resnet50_4k.json", {"--method", "ab", "--nodes", "4"});
  for (const auto& [key, value] : own.items())
    if (json["scan"][1].contains(key)) CHECK(json["scan"][1][key] == value);
  CHECK(json["scan"][1].contains("inter_node_sent_bytes"));
}

TEST_CASE("a table over node counts with a constant global batch", "[plan]") {
  const Json json = scan("imagenet/vit_b16_4k.json", {"--method", "ab", "--nodes", "4", "--scan",
                                                      "1,4,8,16,32,64", "--global-batch", "4096"});
  CHECK(json["scaling"] == "global_batch");
  REQUIRE(json["scan"].size() == 6);
  // One node of four ranks has one group of four.
  CHECK(json["scan"][0]["error"].get<std::string>().find("ab.group_size") == 0);
  for (int i = 1; i < 6; ++i) {
    const Json& row = json["scan"][i];
    CHECK(row["local_batch"] == 1024 / row["nodes"].get<int64_t>());
    CHECK((row["global_batch"] == 4096 && row["total_steps"] == 45000));
  }
  CHECK_THAT(scan_text(json), Contains("constant global batch") && Contains("not possible"));
}

TEST_CASE("steps given as numbers follow the samples of a step, shares stay", "[plan]") {
  Config config = asked("imagenet/vit_b16_4k.json", {"--nodes", "4"}).config;
  config.train.steps = 1000;
  config.ab.ab_steps = {7.0, StepCount::Of::kSteps};
  const Config half = rescaled(config, 4096, 8192);
  CHECK((*half.train.steps == 500 && *half.train.steps_per_epoch == 150));
  CHECK(half.ab.compat.schedule->w == 6150);
  CHECK(half.ab.compat.schedule->s == 1090);
  CHECK(half.ab.compat.schedule->d == 150);
  CHECK(half.ab.ab_steps.value == 4.0);  // 3.5
  CHECK(half.ab.lr_rebound_steps.value == 375.0);
  CHECK(half.ab.warmup_steps == config.ab.warmup_steps);  // 20 %
}

TEST_CASE("thousands of nodes are planned from the same formulas", "[plan]") {
  const Json json = plan("imagenet/vit_b16_32k.json", {"--method", "ab", "--nodes", "4096"});
  // Gradients of ddp: 2 (n-1) S a step over all ranks; the rest is hashes, metrics, evaluations.
  const double gradients = 2.0 * 16383.0 * 346'160'032.0 * 5700.0;
  CHECK(json["ddp_sent_bytes"].get<double>() == Approx(gradients).epsilon(1e-4));
  CHECK(json["ddp_sent_bytes"].get<double>() > gradients);
}
