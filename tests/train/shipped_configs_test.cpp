// Every shipped configuration: it loads, resolves for the ranks it is documented for, and gives the
// phases of the paper's tables (method.md, "The paper's rows"), in both countings.
#include <filesystem>
#include <set>

#include "tests/catch.h"
#include "tests/train/scratch_folder.h"
#include "tools/train/options.h"
#include "tools/train/resolve.h"
#include "tools/train/run_plan.h"

namespace {

using namespace ab;

const std::string kConfigs = AB_SOURCE_DIR "/models/configs/";
const std::string kGuideline = AB_SOURCE_DIR "/models/overlays/guideline_schedule.json";
constexpr int64_t kImageNet = 1281167, kCifar = 50000;

// In the reference's counting. The first AB phase ends at the next multiple of S after W, and of
// the T steps W + D for every later multiple are at full rank, the last D cut off at T.
struct Row {
  const char* file;
  int64_t images;
  int nodes, ranks_per_node;
  int64_t global_batch, steps_per_epoch, w, s, d, r;
  int cycles;
  int64_t full_rank_steps;
  double lr, weight_decay;
};

const Row kRows[] = {
    {"imagenet/resnet50_2k.json", kImageNet, 2, 4, 2048, 600, 24000, 6000, 300, 600, 11, 27000,
     0.0035, 0.01},
    {"imagenet/resnet50_4k.json", kImageNet, 4, 4, 4096, 300, 9300, 3000, 300, 750, 12, 12600,
     0.0035, 0.01},
    {"imagenet/resnet50_8k.json", kImageNet, 8, 4, 8192, 150, 6150, 1500, 150, 325, 11, 7650,
     0.0035, 0.01},
    {"imagenet/resnet50_16k.json", kImageNet, 16, 4, 16384, 75, 3750, 600, 75, 188, 13, 4650,
     0.0035, 0.01},
    {"imagenet/resnet50_32k.json", kImageNet, 32, 4, 32768, 38, 1900, 400, 38, 94, 11, 2280, 0.0035,
     0.01},
    {"imagenet/vit_b16_2k.json", kImageNet, 2, 4, 2048, 600, 24600, 4360, 600, 1500, 16, 33600,
     0.0035, 0.1},
    {"imagenet/vit_b16_4k.json", kImageNet, 4, 4, 4096, 300, 12300, 2180, 300, 750, 16, 16800,
     0.0035, 0.1},
    {"imagenet/vit_b16_8k.json", kImageNet, 8, 4, 8192, 150, 6150, 1500, 150, 325, 11, 7650, 0.0035,
     0.1},
    {"imagenet/vit_b16_16k.json", kImageNet, 16, 4, 16384, 75, 3075, 750, 75, 188, 11, 3825, 0.0035,
     0.1},
    {"imagenet/vit_b16_32k.json", kImageNet, 32, 4, 32768, 38, 1520, 270, 38, 94, 16, 2120, 0.0035,
     0.1},
    {"cifar10/vgg16.json", kCifar, 2, 4, 1024, 100, 4330, 759, 60, 267, 15, 5170, 0.003, 0.1},
    {"cifar100/mini_vit.json", kCifar, 1, 4, 512, 100, 4330, 750, 60, 100, 15, 5170, 0.003, 0.1},
};

// As the command line reads them: `files` over one another, `more` settings on top.
Config load(const std::vector<std::string>& files, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"train"};
  for (const std::string& file : files) words.insert(words.end(), {"--config", file});
  words.insert(words.end(), more.begin(), more.end());
  const Options options = parse_options(words);
  return load_config(options.config, options.settings);
}

int64_t full_rank_steps(const RunPlan& plan) {
  int64_t steps = 0;
  for (const PhaseSpan& span : plan.spans)
    if (span.phase != StepPhase::kAb) steps += span.to - span.from;
  return steps;
}

}  // namespace

TEST_CASE("the paper's rows in the reference's counting", "[configs]") {
  for (const Row& row : kRows) {
    INFO(row.file);
    const Config config = load({kConfigs + row.file}, {"--method", "ab"});
    CHECK((config.adamw.lr == row.lr && config.adamw.weight_decay == row.weight_decay));
    CHECK((config.train.label_smoothing == 0.1 && config.train.clip_norm == 1.0));
    CHECK(config.train.precision == "bf16");
    const Resolved r =
        resolve(config, row.images, row.nodes * row.ranks_per_node, row.ranks_per_node);
    CHECK(r.global_batch == row.global_batch);
    CHECK(r.steps_per_epoch == row.steps_per_epoch);
    CHECK(r.total_steps == 150 * row.steps_per_epoch);
    CHECK(r.lr_rebound_steps == row.r);
    const RunPlan plan = make_run_plan(config, r);
    REQUIRE(plan.spans.size() >= 3);
    CHECK(plan.spans[0] == PhaseSpan{StepPhase::kWarmup, -1, 0, row.w});
    CHECK(plan.spans[1] == PhaseSpan{StepPhase::kAb, 0, row.w, (row.w / row.s + 1) * row.s});
    CHECK(plan.spans[2].to - plan.spans[2].from == row.d);
    CHECK(plan.spans.back().cycle + 1 == row.cycles);
    CHECK(full_rank_steps(plan) == row.full_rank_steps);
    // The same phases without groups; none at all in ddp.
    const Config no_groups = load({kConfigs + row.file}, {"--method", "ab-nogroups"});
    CHECK(make_run_plan(no_groups, r).spans == plan.spans);
    CHECK(make_run_plan(load({kConfigs + row.file}), r).spans.size() == 1);
  }
}

TEST_CASE("the paper's rows in the paper's counting: one overlay for all", "[configs]") {
  for (const Row& row : kRows) {
    INFO(row.file);
    const Config config = load({kConfigs + row.file, kGuideline}, {"--method", "ab"});
    const Resolved r =
        resolve(config, row.images, row.nodes * row.ranks_per_node, row.ranks_per_node);
    const auto total = static_cast<double>(r.total_steps);
    CHECK(std::abs(static_cast<double>(r.warmup_steps) - 0.2 * total) <= 0.5);
    CHECK(std::abs(static_cast<double>(r.ab_steps) - 0.0333 * total) <= 0.5);
    CHECK(std::abs(static_cast<double>(r.rebound_steps) - 0.25 * r.ab_steps) <= 0.5);
    CHECK(std::abs(static_cast<double>(r.lr_rebound_steps) - 0.5 * r.ab_steps) <= 0.5);
    const RunPlan plan = make_run_plan(config, r);
    CHECK(plan.spans[1].from == r.warmup_steps);
    CHECK(plan.spans[1].to == r.warmup_steps + r.ab_steps);
    CHECK(plan.spans[2].to == plan.spans[1].to + r.rebound_steps);
  }
}

TEST_CASE("constant global batch: the 4k configurations on 4 to 64 nodes", "[configs]") {
  for (const char* file : {"imagenet/resnet50_4k.json", "imagenet/vit_b16_4k.json"})
    for (const int nodes : {4, 8, 16, 32, 64}) {
      CAPTURE(file, nodes);
      const Config config =
          load({kConfigs + file}, {"--method", "ab", "--set", "data.global_batch=4096"});
      const Resolved r = resolve(config, kImageNet, nodes * 4, 4);
      CHECK((r.local_batch == 1024 / nodes && r.total_steps == 45000 && r.groups == nodes));
    }
}

TEST_CASE("every shipped configuration loads, and every one of a paper's row is in the table",
          "[configs]") {
  std::set<std::string> found, expected;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kConfigs)) {
    if (entry.path().extension() != ".json") continue;
    INFO(entry.path());
    CHECK_NOTHROW(load_config(entry.path()));
    const std::string name = std::filesystem::relative(entry.path(), kConfigs).string();
    if (name.starts_with("imagenet/")) found.insert(name);
  }
  for (const Row& row : kRows)
    if (std::string(row.file).starts_with("imagenet/")) expected.insert(row.file);
  CHECK(found == expected);
}

TEST_CASE("a later --config lies over an earlier one, --set over both", "[configs]") {
  ScratchFolder scratch;
  const std::string base = kConfigs + "imagenet/resnet50_4k.json", over = scratch / "over.json";
  write_file(over, R"({"data": {"dir": "/big"}, "ab": {"sigma_cutoff": 0.2, "exclude": ["fc"],
                      "compat": {"schedule": {"W": 1, "S": 5, "D": 2}}}, "train": {"seed": 4}})");
  const Config config = load({base, over}, {"--seed", "9"});
  CHECK((config.data.dir == "/big" && config.data.local_batch == 256));
  CHECK((config.ab.sigma_cutoff == 0.2 && config.ab.exclude.size() == 1));
  CHECK((config.ab.compat.schedule->w == 1 && config.ab.compat.schedule->d == 2));
  CHECK(config.train.seed == 9);
  CHECK_FALSE(load({base, over, kGuideline}).ab.compat.schedule.has_value());
  // What is wrong in it carries its name.
  const auto refusal = [&](const char* text) {
    write_file(over, text);
    try {
      load({base, over});
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  using Catch::Matchers::Contains;
  CHECK_THAT(refusal(R"({"ab": {"gard": true}})"),
             Contains("over.json") && Contains("ab.gard") && Contains("ab.guard"));
  CHECK_THAT(refusal(R"({"train": {"seed": -1}})"), Contains("over.json: train.seed"));
  CHECK_THAT(refusal("[1]"), Contains("over.json") && Contains("a list"));
}
