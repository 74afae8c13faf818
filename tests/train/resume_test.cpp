// A run that goes on from a checkpoint must end as the run that nobody disturbed: same losses, same
// weights, same ledger, to the bit; wherever the checkpoint lies.
#include <filesystem>
#include <sstream>

#include "tests/catch.h"
#include "tests/train/run_fixture.h"
#include "tools/train/checkpoint_files.h"

using namespace ab;

namespace {

namespace fs = std::filesystem;

std::string step_folder(const std::string& run, int step) {
  char name[40];
  std::snprintf(name, sizeof name, "/checkpoints/step-%08d", step);
  return run + name;
}

void copy_run(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

void flip_a_byte(const std::string& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(-1, std::ios::end);
  file.put(byte);
}

}  // namespace

TEST_CASE("resuming at any step of any phase gives the undisturbed run, bit for bit", "[resume]") {
  const std::string change =
      GENERATE("ab.merge=all", "ab.compat.moments=true", "train.sync_bn=off", "method=ab-nogroups",
               "ab.merge=mean_of_products ab.outer=nesterov ab.moments=keep",
               "method=powersgd powersgd.start_step=4 powersgd.min_compression=0",
               "method=local-sgd local_sgd.start_step=2 local_sgd.period=3",
               "method=local-sgd local_sgd.start_step=2 local_sgd.moments=average");
  CAPTURE(change);
  ScratchFolder scratch;
  std::vector<std::string> changes = {"method=ab",           "checkpoint.every_steps=1",
                                      "checkpoint.keep=100", "train.init=default",
                                      "ab.sigma_cutoff=0.4", "local_sgd.group_size=2"};
  std::istringstream words(change);
  for (std::string word; words >> word;) changes.push_back(word);
  const Config config = tiny_config("resnet", changes);
  const std::string folder = scratch / "whole", again = scratch / "again";
  const auto whole = run_training(config, 4, 2, 1, {folder, ""});
  // Warm-up 1..3, AB 4..7 (merged after 7), rebound 8, AB 9..12; powersgd compresses from 5 on,
  // local-sgd averages after 5, 8, 11 and 12.
  for (int step : {2, 3, 5, 7, 8, 11}) {
    INFO("from step " << step);
    copy_run(folder, again);
    const auto resumed = run_training(config, 4, 2, 1, {again, step_folder(folder, step)});
    REQUIRE(resumed.losses == whole.losses);  // the lines before the checkpoint were kept
    REQUIRE(resumed.weights == whole.weights);
    REQUIRE(resumed.ledger == whole.ledger);
    REQUIRE(resumed.result.layer_ranks == whole.result.layer_ranks);
    REQUIRE(resumed.result.top1_best == whole.result.top1_best);
  }
}

TEST_CASE("the ledger of a run with checkpoints equals the plan") {
  // Settled where the ranks ask one another anyway, or before the next one.
  const std::string ask = GENERATE("checkpoint.ask_every=1", "checkpoint.ask_every=100");
  ScratchFolder scratch;
  const Config config = tiny_config("vit", {"method=ab", "checkpoint.every_steps=5", ask});
  const auto run = run_training(config, 4, 2, 1, {scratch / "run", ""});
  REQUIRE(planned(config, 4, 2, run.result.layer_ranks) == run.ledger);
}

TEST_CASE("the newest whole checkpoint is taken, a damaged one is passed over and named") {
  ScratchFolder scratch;
  const Config config =
      tiny_config("vit", {"method=ab", "checkpoint.every_steps=2", "checkpoint.keep=3"});
  const std::string folder = scratch / "run";
  run_training(config, 4, 4, 1, {folder, ""});
  // Saved after 2, 4, 6, 8, 10 (not 12, the end); three are kept.
  CHECK(!fs::exists(step_folder(folder, 4)));
  std::vector<std::string> warnings;
  CHECK(newest_checkpoint(folder, &warnings) == step_folder(folder, 10));
  CHECK(warnings.empty());
  fs::copy(folder, scratch / "missing", fs::copy_options::recursive);
  fs::copy(folder, scratch / "short", fs::copy_options::recursive);
  fs::remove(step_folder(scratch / "missing", 10) + "/weights-1.safetensors");
  fs::resize_file(step_folder(scratch / "short", 10) + "/optimizer-1.safetensors", 100);
  CHECK(newest_checkpoint(scratch / "missing", &warnings) == step_folder(scratch / "missing", 8));
  CHECK(newest_checkpoint(scratch / "short", &warnings) == step_folder(scratch / "short", 8));
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0].find("weights-1.safetensors is missing") != std::string::npos);
  CHECK(warnings[1].find("optimizer-1.safetensors has 100 bytes instead of") != std::string::npos);
  warnings.clear();
  flip_a_byte(step_folder(folder, 10) + "/optimizer.safetensors");
  fs::remove(step_folder(folder, 8) + "/DONE");
  CHECK(newest_checkpoint(folder, &warnings) == step_folder(folder, 6));
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0].find("optimizer.safetensors is damaged") != std::string::npos);
  CHECK(warnings[1].find("it was not finished") != std::string::npos);
}
