// Resolved numbers, worked out by hand from the paper's settings (method.md sections 1 and 10).
#include "tools/train/resolve.h"

#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tests/catch.h"

namespace {

using namespace ab;

constexpr int64_t kImageNet = 1281167, kCifar = 50000;

Config config_of(const std::string& text) {
  return with_model_defaults(parse_config(parse_json_text(text, "test"), "test"));
}

std::string refusal(const Config& config, int64_t images, int world, int per_node) {
  try {
    resolve(config, images, world, per_node);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("the guideline's percentages on the 4k setting") {
  const Config config = config_of(R"({"method": "ab", "model": {"name": "vit"},
      "data": {"local_batch": 256}, "train": {"steps_per_epoch": 300}})");
  const Resolved r = resolve(config, kImageNet, 16, 4);
  CHECK(r.global_batch == 4096);
  CHECK(r.data_steps_per_epoch == 312);  // 1281167 / 4096 = 312.8
  CHECK(r.steps_per_epoch == 300);
  CHECK(r.total_steps == 45000);     // 150 x 300
  CHECK(r.warmup_steps == 9000);     // 20 %
  CHECK(r.ab_steps == 1499);         // 3.33 % = 1498.5
  CHECK(r.rebound_steps == 375);     // 25 % of 1499 = 374.75
  CHECK(r.lr_rebound_steps == 750);  // 50 % of 1499 = 749.5
  CHECK((r.group_size == 4 && r.groups == 4));
  CHECK(r.epochs == 150.0);
  const LrSettings lr = lr_settings(config, r);
  CHECK((lr.steps_per_epoch == 300.0 && lr.epochs == 150.0 && lr.rebound_steps == 750));
}

TEST_CASE("the reference's schedules: ResNet-50 4k is at full rank for 28.0 % of the steps") {
  const Config config = load_config(AB_SOURCE_DIR "/models/configs/imagenet/resnet50_4k.json",
                                    {{"method", "ab", "--method"}});
  const Resolved r = resolve(config, kImageNet, 16, 4);
  CHECK((r.warmup_steps == 9300 && r.ab_steps == 2700 && r.rebound_steps == 300));
  CHECK(r.lr_rebound_steps == 750);
  int64_t full = 0;
  for (const PhaseSpan& span : step_schedule(schedule_settings(config, r)))
    if (span.phase != StepPhase::kAb) full += span.to - span.from;
  // 9300 of warm-up, then 300 after each border 12000, 15000, ... 42000: 11 of them.
  CHECK(full == 12600);
  CHECK(static_cast<double>(full) / static_cast<double>(r.total_steps) == Approx(0.28));
}

TEST_CASE("VGG16 on CIFAR-10: the paper's epoch of 100 updates is longer than the data") {
  const Config config = load_config(AB_SOURCE_DIR "/models/configs/cifar10/vgg16.json",
                                    {{"method", "ab", "--method"}});
  const Resolved r = resolve(config, kCifar, 8, 4);
  CHECK(r.global_batch == 1024);
  CHECK(r.data_steps_per_epoch == 48);  // 50000 / 1024 = 48.8
  CHECK(r.steps_per_epoch == 100);
  CHECK(r.total_steps == 15000);
  CHECK((r.warmup_steps == 4330 && r.ab_steps == 699 && r.rebound_steps == 60));
  CHECK((r.lr_rebound_steps == 267 && r.groups == 2));
}

TEST_CASE("steps win over epochs, a global batch over a local one") {
  const Config config = config_of(R"({"model": {"name": "vgg16"},
      "data": {"local_batch": 5, "global_batch": 1000}, "train": {"epochs": 3, "steps": 75}})");
  const Resolved r = resolve(config, kCifar, 4, 4);
  CHECK((r.local_batch == 250 && r.global_batch == 1000 && r.steps_per_epoch == 50));
  CHECK((r.total_steps == 75 && r.epochs == 1.5));
  CHECK((r.group_size == 4 && r.groups == 1));  // ddp: the world
  CHECK(data_settings(config, r).local_batch == 250);
}

TEST_CASE("shares round to the nearest step and never to none") {
  const auto phases = [](const std::string& ab) {
    return resolve(config_of(R"({"method": "ab-nogroups", "model": {"name": "vgg16"},
        "train": {"steps": 20}, "ab": )" +
                             ab + "}"),
                   kCifar, 2, 2);
  };
  const Resolved defaults = phases("{}");
  CHECK(defaults.warmup_steps == 4);
  CHECK(defaults.ab_steps == 1);       // 0.666
  CHECK(defaults.rebound_steps == 1);  // 0.25, but not nothing
  CHECK(defaults.lr_rebound_steps == 1);
  const Resolved small = phases(R"({"ab_steps": "1%", "rebound_steps": "1% of ab_steps"})");
  CHECK((small.ab_steps == 1 && small.rebound_steps == 1));
  const Resolved none = phases(
      R"({"warmup_steps": 0, "ab_steps": "12%", "rebound_steps": 0, "lr_rebound_steps": "0%"})");
  CHECK((none.warmup_steps == 0 && none.ab_steps == 2));  // 2.4
  CHECK((none.rebound_steps == 0 && none.lr_rebound_steps == 0));
  const Resolved mixed =
      phases(R"({"ab_steps": 9, "rebound_steps": "10%", "lr_rebound_steps": 7})");
  CHECK((mixed.ab_steps == 9 && mixed.rebound_steps == 2 && mixed.lr_rebound_steps == 7));
}

TEST_CASE("worlds that cannot be are refused with values that would work") {
  const auto config = [](const std::string& group, const std::string& data) {
    return config_of(R"({"method": "ab", "model": {"name": "vgg16"}, "data": )" + data +
                     R"(, "ab": {"group_size": )" + group + "}}");
  };
  using Catch::Matchers::Contains;
  const std::string small = R"({"local_batch": 8})";
  CHECK_THAT(refusal(config("3", small), kCifar, 8, 4),
             Contains("ab.group_size 3 with 8 ranks") && Contains("1, 2, 4 would work"));
  CHECK_THAT(refusal(config("8", small), kCifar, 8, 4), Contains("1, 2, 4 would work"));
  CHECK_THAT(refusal(config("1", small), kCifar, 1, 1), Contains("--method ab-nogroups"));
  CHECK_THAT(refusal(config("\"node\"", small), kCifar, 4, 4),
             Contains("\"node\" means the ranks of one node") && Contains("1, 2 would work"));
  CHECK(refusal(config("\"node\"", small), kCifar, 8, 4) == "accepted");
  CHECK_THAT(refusal(config("2", R"({"global_batch": 100})"), kCifar, 8, 4),
             Contains("data.global_batch: found 100 with 8 ranks") && Contains("96 or 104"));
  CHECK_THAT(refusal(config("2", R"({"global_batch": 3})"), kCifar, 8, 4),
             Contains("; 8 would work"));
  CHECK_THAT(refusal(config("2", R"({"local_batch": 128})"), 600, 8, 4),
             Contains("1024 samples per step") && Contains("600 images") &&
                 Contains("a local batch of at most 75"));
  CHECK_THAT(refusal(config("2", R"({"local_batch": 1})"), 5, 8, 4), Contains("at most 5 ranks"));
}

TEST_CASE("the other rooms get what the words mean") {
  const Config config = config_of(R"({"method": "ab", "model": {"name": "mini-vit", "dim": 96},
      "train": {"precision": "bf16"}, "comm": {"reduce_dtype": "bf16"},
      "ab": {"forward": "thin", "svd": "gram"}})");
  CHECK(method_of(config) == Method::kAb);
  CHECK(precision_of(config) == DType::kBFloat16);
  CHECK(reduce_dtype_of(config) == DType::kBFloat16);
  CHECK(forward_of(config) == FactorForward::kThin);
  CHECK(svd_route_of(config) == SvdRoute::kGram);
  const ModelSettings model = model_settings(config);
  CHECK((model.dim == 96 && model.depth == 6 && model.classes == 100 && model.channels == 3));
  CHECK(data_settings(config).augment == "cifar");
}
