// Configuration: every bad input says where, what was found and what would work; what is read comes
// back; the paper's sizes are the defaults.
#include "tools/train/config.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "tests/catch.h"
#include "tests/train/scratch_folder.h"
#include "tools/train/exit_codes.h"

namespace {

using namespace ab;

// A file with this text and these --set flags is refused with a message that holds all the parts.
struct Refusal {
  const char* text;
  std::vector<Setting> settings;
  std::vector<std::string> parts;
};

void check_refusal(const Refusal& refusal) {
  ScratchFolder scratch;
  const std::string file = scratch / "run.json";
  write_file(file, refusal.text);
  INFO(refusal.text);
  try {
    load_config(file, refusal.settings);
    FAIL("was accepted");
  } catch (const std::exception& error) {
    INFO(error.what());
    CHECK(exit_code_of(error) == 2);
    for (const std::string& part : refusal.parts) {
      INFO(part);
      CHECK(std::string(error.what()).find(part) != std::string::npos);
    }
    CHECK(error_line(error).find('\n') == std::string::npos);
  }
}

Setting set(const char* key, const char* value) {
  return {key, value, "--set"};
}

constexpr const char* kVit = R"({"model": {"name": "vit"}})";

}  // namespace

TEST_CASE("unknown keys name their path and the nearest known key") {
  for (const auto& [wrong, right] : std::vector<std::pair<std::string, std::string>>{
           {"model.widht", "model.width"},
           {"train.lr", "adamw.lr"},
           {"sigma_cutof", "ab.sigma_cutoff"},
           {"adamw.wieght_decay", "adamw.weight_decay"},
           {"ab.compat.first_cutt", "ab.compat.first_cut"},
           {"modle", "model"},
           {"data.localbatch", "data.local_batch"}}) {
    CHECK(nearest_key(wrong) == right);
    check_refusal({kVit,
                   {set(wrong.c_str(), "1")},
                   {"--set: unknown key \"" + wrong + "\"", "is \"" + right + "\""}});
  }
  check_refusal({R"({"model": {"name": "vit", "dept": 3}})",
                 {},
                 {"run.json: unknown key \"model.dept\"", "\"model.depth\"", "help-config"}});
  // A name of config.json's provenance is known at the top alone.
  check_refusal({R"({"model": {"name": "vit", "version": 3}})", {}, {"\"model.version\""}});
}

TEST_CASE("broken JSON names file, line and column") {
  check_refusal({"{\n  \"model\": {\"name\": \"vit\"},\n  \"train\": {\"epochs\": }\n}",
                 {},
                 {"run.json:3:23", "not valid JSON"}});
  check_refusal({"{\"model\": {\"name\": \"vit\"}", {}, {"run.json:1:26", "not valid JSON"}});
  check_refusal({"x", {}, {"run.json:1:1", "not valid JSON"}});
  check_refusal({"", {}, {"run.json", "is empty"}});
  check_refusal({"[1, 2]", {}, {"found a list", "expected a JSON object"}});
  check_refusal({"{\"train\":\n {\"epochs\": 1e999}}", {}, {"run.json:2:13", "too large"}});
  check_refusal({R"({"train": {"seed": NaN}})", {}, {"run.json:1:20"}});
  check_refusal(
      {R"({"train": {"seed": 1, "epochs": 2, "seed": 3}})", {}, {"\"train.seed\" stands twice"}});
  check_refusal({R"({"train": {}, "train": {}})", {}, {"\"train\" stands twice"}});
}

TEST_CASE("ill-typed values and values out of range say what would work") {
  const std::vector<Refusal> refusals = {
      {R"({"model": 3})", {}, {"model: found number 3", "an object of keys"}},
      {R"({"model": {"name": 3}})", {}, {"model.name: found number 3", "\"vgg16\", \"resnet18\""}},
      {R"({"model": {}})", {}, {"model.name: is missing", "vgg16"}},
      {R"({"model": {"name": "vgg19"}})", {}, {"found text \"vgg19\"", "\"mini-vit\""}},
      {kVit,
       {set("train.epochs", "many")},
       {"--set: train.epochs: found text \"many\"", "a number"}},
      {kVit, {set("train.epochs", "0")}, {"found number 0", "above 0"}},
      {kVit, {set("train.epochs", "nan")}, {"train.epochs: found text \"nan\""}},
      {kVit, {set("train.epochs", "1e999")}, {"train.epochs: found text \"1e999\""}},
      {kVit, {set("train.epochs", "null")}, {"train.epochs: found null"}},
      {kVit, {set("train.steps", "1.5")}, {"train.steps: found number 1.5", "an integer"}},
      {kVit, {set("train.steps", "0")}, {"found number 0", "at least 1"}},
      {kVit, {{"train.steps", "ten", "--steps"}}, {"--steps: train.steps: found text \"ten\""}},
      {kVit, {set("train.seed", "-1")}, {"train.seed: found number -1", "at least 0"}},
      {kVit, {set("train.seed", "18446744073709551615")}, {"at most 9223372036854775807"}},
      {kVit, {set("train.seed", "99999999999999999999999")}, {"train.seed: found number 9.99"}},
      {kVit, {set("data.local_batch", "0")}, {"data.local_batch", "at least 1"}},
      {kVit, {set("data.global_batch", "-8")}, {"data.global_batch", "at least 1"}},
      {kVit, {set("model.classes", "4294967297")}, {"model.classes", "at most 1000000"}},
      {kVit, {set("model.depth", "true")}, {"found true", "an integer of at least 1"}},
      {kVit, {set("model.dropout", "1")}, {"model.dropout: found number 1", "below 1"}},
      {kVit, {set("model.drop_path", "-0.1")}, {"model.drop_path", "at least 0 and below 1"}},
      {kVit, {set("ab.sigma_cutoff", "1.0")}, {"ab.sigma_cutoff", "at least 0 and below 1"}},
      {kVit, {set("ab.sigma_cutoff", "-0.1")}, {"ab.sigma_cutoff: found number -0.1"}},
      {kVit, {set("ab.warmup_steps", "101%")}, {"found text \"101%\"", "0% to 100%"}},
      {kVit, {set("ab.warmup_steps", "-5%")}, {"found text \"-5%\"", "0% to 100%"}},
      {kVit, {set("ab.warmup_steps", "20% of ab_steps")}, {"of the total steps"}},
      {kVit, {set("ab.ab_steps", "nan%")}, {"found text \"nan%\""}},
      {kVit, {set("ab.ab_steps", "-3")}, {"found number -3", "whole number of steps"}},
      {kVit, {set("ab.ab_steps", "2.5")}, {"found number 2.5", "whole number of steps"}},
      {kVit, {set("ab.rebound_steps", "25% of sleep")}, {"\"25% of ab_steps\""}},
      {kVit, {set("ab.group_size", "rack")}, {"found text \"rack\"", "\"node\" or an integer"}},
      {kVit, {set("ab.group_size", "0")}, {"ab.group_size: found number 0", "at least 1"}},
      {kVit, {set("ab.merge", "some")}, {"one of \"all\", \"learned\""}},
      {kVit, {set("ab.exclude", "head")}, {"a list of texts"}},
      {kVit, {set("ab.exclude", "[1]")}, {"found number 1 in the list"}},
      {kVit, {set("ab.guard", "1")}, {"true or false"}},
      {kVit, {set("ab.compat.schedule", "{\"W\": 1, \"S\": 2}")}, {"\"D\": steps"}},
      {kVit, {set("ab.compat.schedule", "{\"W\": 1, \"S\": 2, \"D\": 2}")}, {"found S = 2, D = 2"}},
      {kVit, {set("ab.compat.schedule.W", "-1")}, {"ab.compat.schedule"}},
      {kVit, {{"method", "sgd", "--method"}}, {"--method: method: found text \"sgd\"", "\"ddp\""}},
      {kVit, {set("train..seed", "1")}, {"not a key"}},
      {kVit, {set("train.seed.x", "1")}, {"train.seed: found an object"}},
      {R"({"model": {"name": "vit"}, "ab": 5})", {set("ab.guard", "true")}, {"\"ab\" is a value"}},
      {kVit, {set("model.patch", "15")}, {"model.patch: found 15", "model.image = 224", "14, 16"}},
      {kVit, {set("model.heads", "5")}, {"model.heads: found 5", "model.dim = 768", "4, 6, 8"}},
      {kVit, {set("model.width", "0.5")}, {"model.width: has no meaning for vit"}},
      {R"({"model": {"name": "resnet50", "depth": 3}})", {}, {"model.depth: has no meaning"}},
      {R"({"model": {"name": "vgg16", "image": 28}})", {}, {"found 28", "at least 32"}},
  };
  for (const Refusal& refusal : refusals) check_refusal(refusal);
}

TEST_CASE("what does not fit together names the file, or the flag that set it") {
  ScratchFolder scratch;
  const std::string file = scratch / "vgg.json";
  write_file(file, R"({"model": {"name": "vgg16"}})");
  const auto message = [&](const std::vector<Setting>& settings) -> std::string {
    try {
      load_config(file, settings);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  CHECK(message({}) == "accepted");
  CHECK(message({set("model.image", "28")}).find("--set model.image: found 28") == 0);
  write_file(file, R"({"model": {"name": "vgg16", "image": 28}})");
  CHECK(message({}).find(file + ": model.image: found 28") == 0);
}

TEST_CASE("files that cannot be read are named") {
  ScratchFolder scratch;
  for (const std::string& file : {scratch / "absent.json", scratch.path().string()}) {
    try {
      load_config(file);
      FAIL("was accepted");
    } catch (const ConfigError& error) {
      CHECK(std::string(error.what()).find("--config " + file + ": cannot be read") == 0);
    }
  }
}

TEST_CASE("the defaults are the paper's") {
  const auto model = [](const std::string& name) {
    return with_model_defaults(parse_config({{"model", Json{{"name", name}}}}, "test")).model;
  };
  const auto vit = model("vit");
  CHECK((*vit.classes == 1000 && *vit.image == 224 && *vit.depth == 12 && *vit.dim == 768));
  CHECK((*vit.heads == 12 && *vit.patch == 16 && *vit.mlp_ratio == 4 && *vit.drop_path == 0.1));
  const auto mini = model("mini-vit");
  CHECK((*mini.classes == 100 && *mini.image == 32 && *mini.depth == 6 && *mini.heads == 6));
  CHECK((*mini.patch == 8 && *mini.drop_path == 0.0 && *mini.channels == 3));
  const auto vgg = model("vgg16");
  CHECK((*vgg.classes == 10 && *vgg.image == 32 && *vgg.width == 1.0 && !vgg.depth));
  const auto resnet = model("resnet50");
  CHECK((*resnet.classes == 1000 && *resnet.image == 224 && *resnet.dropout == 0.1));

  const Config grey = with_model_defaults(parse_config(
      parse_json_text(R"({"model": {"name": "vit"}, "data": {"format": "idx"}})", "test"), "test"));
  CHECK(*grey.model.channels == 1);
  CHECK(*grey.data.augment == "none");
  const Config config;
  CHECK(config.method == "ddp");
  CHECK((config.ab.sigma_cutoff == 0.15 && !config.ab.group_size && config.ab.merge == "all"));
  CHECK(config.ab.warmup_steps == parse_step_count("20%"));
  CHECK(config.ab.rebound_steps == parse_step_count("25% of ab_steps"));
  CHECK((config.ab.compat.first_cut && !config.ab.compat.moments));
}

TEST_CASE("what is read comes back") {
  const Json tree = parse_json_text(
      R"({"method": "ab",
          "model": {"name": "mini-vit", "classes": 7, "dim": 192, "drop_path": 0.25},
          "data": {"format": "idx", "dir": "some/where", "global_batch": 96, "augment": "cifar"},
          "train": {"epochs": 0.5, "steps": 1e3, "seed": 9223372036854775807, "clip_norm": 0},
          "adamw": {"lr": 0.1, "eps": 1e-300, "decay_exclude": ["norm", "*.bias"]},
          "ab": {"warmup_steps": 12, "ab_steps": "33.3%", "lr_rebound_steps": "40 % of ab_steps",
                 "group_size": 2, "exclude": ["head*"], "guard": true, "svd": "full",
                 "compat": {"schedule": {"W": 5, "S": 4, "D": 0}, "moments": true}},
          "checkpoint": {"every_steps": 50}})",
      "test");
  const Config config = with_model_defaults(parse_config(tree, "test"));
  CHECK(config.train.steps == 1000);
  CHECK(config.train.seed == 9223372036854775807u);
  CHECK((config.ab.compat.schedule->w == 5 && config.ab.compat.schedule->d == 0));
  CHECK(config.ab.lr_rebound_steps == StepCount{40.0, StepCount::Of::kAbSteps});
  const Json dumped = to_json(config);
  CHECK(dumped["adamw"]["lr"] == 0.1);
  CHECK(dumped["ab"]["ab_steps"] == "33.3%");
  CHECK(dumped["ab"]["group_size"] == 2);
  CHECK(dumped["train"]["steps_per_epoch"].is_null());
  // Through text and back, and once more.
  const Config again = parse_config(parse_json_text(dumped.dump(), "test"), "test");
  CHECK(to_json(again) == dumped);
  CHECK(again.adamw.eps == 1e-300);
  // Keys that the text left out stand in the dump with their defaults.
  CHECK(dumped["comm"]["timeout_s"] == 600.0);
}

TEST_CASE("settings lie over the file, the last one wins") {
  ScratchFolder scratch;
  const std::string file = scratch / "run.json";
  write_file(file, R"({"model": {"name": "vgg16"}, "train": {"seed": 1}, "data": {"dir": "x"}})");
  const Config config = load_config(file, {set("ab.sigma_cutoff", "0.1"),
                                           set("train.seed", "5"),
                                           set("ab.ab_steps", "5%"),
                                           set("ab.exclude", R"(["a", "b"])"),
                                           set("data.dir", "2024"),
                                           set("ab.group_size", "node"),
                                           set("data.augment", "null"),
                                           {"train.seed", "7", "--seed"}});
  CHECK(config.ab.sigma_cutoff == 0.1);
  CHECK(config.train.seed == 7);
  CHECK(config.ab.ab_steps == StepCount{5.0, StepCount::Of::kTotal});
  CHECK(config.ab.exclude == std::vector<std::string>{"a", "b"});
  CHECK(config.data.dir == "2024");  // a text key takes the value as it stands
  CHECK(*config.data.augment == "cifar");
}

TEST_CASE("the reference page has one row per key") {
  const std::string page = config_reference();
  CHECK(page.find("| `ab.sigma_cutoff` | number of at least 0 and below 1 | `0.15` |") !=
        std::string::npos);
  CHECK(page.find("| `ab.group_size` | node, or an integer of at least 1 | `\"node\"` |") !=
        std::string::npos);
  CHECK(page.find("| `ab.rebound_steps` |") != std::string::npos);
}
