// A run that goes on with other ranks or groups: the same steps up to rounding where the rule of
// relayout.h allows it, refused with the nearest borders where it does not.
#include "tools/train/relayout.h"

#include "engine/error.h"
#include "tests/catch.h"
#include "tests/train/run_fixture.h"
#include "tools/train/checkpoint_files.h"

using namespace ab;

namespace {

// Twelve steps of 16 samples, saved after each.
Config saving(const std::string& model, std::vector<std::string> changes) {
  changes.insert(changes.end(), {"data.global_batch=16", "checkpoint.every_steps=1",
                                 "checkpoint.keep=100", "train.init=default"});
  return tiny_config(model, changes);
}

// The run in `folder` from its checkpoint after `step`, in a folder of its own.
FinishedRun go_on(const Config& config, int ranks, const std::string& folder, int step) {
  ScratchFolder scratch;
  std::filesystem::copy(folder, scratch / "run", std::filesystem::copy_options::recursive);
  return run_training(config, ranks, ranks, 1, {scratch / "run", checkpoint_path(folder, step)});
}

std::string refusal(const Config& config, int ranks, const std::string& folder, int step) {
  try {
    go_on(config, ranks, folder, step);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

LedgerEntry gradients(const std::map<LedgerKey, LedgerEntry>& ledger) {
  return ledger.at(
      {Phase::kWarmup, "world", Collective::kAllReduce, Purpose::kGradients, DType::kFloat32});
}

}  // namespace

TEST_CASE("ddp goes on with fewer or more ranks at any step, and its ledger with their costs") {
  const auto [before, after] = GENERATE(std::pair(4, 2), std::pair(2, 4));
  CAPTURE(before, after);
  ScratchFolder scratch;
  const Config config = saving("vit", {});
  const auto whole = run_training(config, before, before, 1, {scratch / "run", ""});
  const auto resumed = go_on(config, after, scratch / "run", 4);
  check_close(resumed.losses, whole.losses, 12);
  CHECK(relative_distance(resumed.weights[0], whole.weights[0]) < 2e-3);
  // Four of twelve steps in the old layout, eight in the new one.
  const LedgerEntry sum = gradients(resumed.ledger), old_world = gradients(whole.ledger),
                    new_world = gradients(planned(config, after, after, {}));
  CHECK(sum.calls == (4 * old_world.calls + 8 * new_world.calls) / 12);
  CHECK(sum.sent_bytes == (4 * old_world.sent_bytes + 8 * new_world.sent_bytes) / 12);
}

TEST_CASE("ab goes on with other groups where all ranks agree, and nowhere else") {
  const std::string rule = GENERATE("ab.outer=none", "ab.outer=nesterov");
  CAPTURE(rule);
  ScratchFolder scratch;
  const std::string folder = scratch / "run";
  const auto whole = run_training(saving("vit", {"method=ab", rule}), 4, 4, 1, {folder, ""});
  // Two groups of one rank do what two groups of two did. Warm-up 1 to 3, AB 4 to 7, rebound 8.
  const Config ones = saving("vit", {"method=ab", rule, "ab.group_size=1"});
  for (const int step : {2, 3, 7, 8}) {
    INFO("from step " << step);
    check_close(go_on(ones, 2, folder, step).losses, whole.losses, 12);
  }
  // Four groups of one rank: the same bits until the next decomposition.
  const auto four = go_on(ones, 4, folder, 7);
  CHECK(std::vector<double>(four.losses.begin(), four.losses.begin() + 8) ==
        std::vector<double>(whole.losses.begin(), whole.losses.begin() + 8));
  const std::string text = refusal(ones, 2, folder, 5);
  for (const char* part : {"step-00000005 is of step 5 of a run on 4 ranks in groups of 2",
                           "with 2 ranks in groups of 1", "inside the phase ab, steps 4 to 7",
                           "after step 3 and after step 7"})
    CHECK_THAT(text, Catch::Contains(part));
  CHECK_THAT(refusal(ones, 4, folder, 6), Catch::Contains("with 4 ranks in groups of 1"));
}

TEST_CASE("what ranks or groups keep to themselves outside of phases is not dropped") {
  ScratchFolder scratch;
  const Config own = saving("resnet", {"train.sync_bn=off"});
  run_training(own, 2, 2, 1, {scratch / "own", ""});
  CHECK_THAT(refusal(own, 4, scratch / "own", 4), Catch::Contains("train.sync_bn=off"));
  const Config moments = saving("vit", {"method=ab", "ab.group_size=1", "ab.compat.moments=true"});
  run_training(moments, 2, 2, 1, {scratch / "moments", ""});
  CHECK_THAT(refusal(moments, 4, scratch / "moments", 8), Catch::Contains("ab.compat.moments"));
  CHECK(refusal(moments, 4, scratch / "moments", 3) == "accepted");
}

TEST_CASE("the global batch is the checkpoint's") {
  RunState state;
  state.layout = {4, 4, 16};
  Config config = tiny_config("vit", {});
  keep_global_batch(config, state, "step-4", 2);
  CHECK(config.data.global_batch == 16);
  keep_global_batch(config, state, "step-4", 16);
  CHECK_THROWS_WITH(keep_global_batch(config, state, "step-4", 3), Catch::Contains("start 2 or 4"));
  CHECK_THROWS_WITH(keep_global_batch(config, state, "step-4", 20), Catch::EndsWith("start 16"));
  config.data.global_batch = 32;
  CHECK_THROWS_WITH(keep_global_batch(config, state, "step-4", 4),
                    Catch::Contains("data.global_batch: found 32") && Catch::Contains("the 16"));
}
