// Checkpoints that are written while training goes on: what they hold, when they count, what is
// left when a file cannot be written.
#include "tools/train/checkpoint_writer.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "tests/catch.h"
#include "tests/train/rank_fixture.h"
#include "tools/train/checkpoint_files.h"
#include "tools/train/weights.h"

using namespace ab;

namespace {

namespace fs = std::filesystem;

// A rank and the parts of its checkpoints.
struct Saver : Rank {
  explicit Saver(Communicator& world, const Config& config = tiny_config("vit", {}))
      : Rank(config, world.size(), world.rank()),
        rules(config, replica, false),
        parts{replica, stash, rules, nullptr, world, {0, world.rank() == 0}, skipped} {}

  const Parameter& first() { return replica.store.parameters().front(); }
  void set_first(float value) {
    write(first().value, std::vector<float>(static_cast<size_t>(first().shape.elements()), value));
  }

  MomentStash stash;
  MergeRules rules;
  int64_t skipped = 0;
  CheckpointParts parts;
};

RunState after(int64_t step) {
  RunState state;
  state.step = step;
  return state;
}

std::vector<float> values_in(const std::string& file, const Parameter& p) {
  std::vector<float> values(static_cast<size_t>(p.shape.elements()));
  const SafetensorsFile weights(file);
  weights.read(weights.expect(p.name, DType::kFloat32, file_shape(p)), values.data());
  return values;
}

}  // namespace

TEST_CASE("a checkpoint holds the weights of its own step, whatever the run does meanwhile") {
  ScratchFolder scratch;
  run_local_ranks(2, 2, [&](Communicator& world) {
    Saver rank(world);
    CheckpointWriter checkpoints(scratch / "run", world, 9);
    for (int64_t step = 1; step <= 3; ++step) {
      rank.set_first(static_cast<float>(step));
      checkpoints.begin(after(step), rank.parts);
      rank.set_first(-1.0f);  // the next step
    }
    checkpoints.finish();
    if (world.rank() != 0) return;
    for (int64_t step = 1; step <= 3; ++step)
      for (const float value :
           values_in(checkpoint_path(scratch / "run", step) + "/weights.safetensors", rank.first()))
        REQUIRE(value == static_cast<float>(step));
  });
}

TEST_CASE(
    "a checkpoint counts when the ranks have settled it, and then nothing older is in its way") {
  ScratchFolder scratch;
  const std::string run = scratch / "run";
  // What a run leaves that was killed while it wrote: an unfinished folder, a file half written.
  fs::create_directories(checkpoint_path(run, 3));
  fs::create_directories(checkpoint_path(run, 4));
  std::ofstream(checkpoint_path(run, 4) + "/weights.safetensors.tmp-1-0") << "half";
  std::ofstream(checkpoint_path(run, 4) + "/rank-00007.json") << "{}";
  run_local_ranks(2, 2, [&](Communicator& world) {
    Saver rank(world);
    CheckpointWriter checkpoints(run, world, 1);
    const bool before = checkpoints.written();
    checkpoints.begin(after(4), rank.parts);
    while (!checkpoints.written()) std::this_thread::yield();
    const bool early = fs::exists(checkpoint_path(run, 4) + "/DONE");
    checkpoints.settle();
    const bool after = checkpoints.written();
    checkpoints.settle();  // nothing is left to settle
    checkpoints.finish();
    if (world.rank() != 0) return;
    CHECK(!before);
    CHECK(!early);
    CHECK(!after);
    CHECK(world.ledger().sent_bytes() == 8);  // one int64 to the other rank
  });
  std::vector<std::string> warnings, files;
  CHECK(newest_checkpoint(run, &warnings) == checkpoint_path(run, 4));
  CHECK(warnings.empty());
  CHECK(!fs::exists(checkpoint_path(run, 3)));
  for (const auto& entry : fs::directory_iterator(checkpoint_path(run, 4)))
    files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  CHECK(files == std::vector<std::string>{"DONE", "optimizer.safetensors", "rank-00000.json",
                                          "rank-00001.json", "state.json", "weights.safetensors"});
}

TEST_CASE("a rank whose part cannot be written ends the run, and the checkpoint before it stays") {
  ScratchFolder scratch;
  const std::string run = scratch / "run";
  const std::string file = GENERATE("/rank-00002.json", "/optimizer-1.safetensors");
  CAPTURE(file);
  const Config config =
      tiny_config("vit", {"method=ab", "checkpoint.every_steps=2", "checkpoint.keep=9"});
  run_training(config, 4, 4, 1, {run, ""});
  for (const int step : {6, 8, 10}) fs::remove_all(checkpoint_path(run, step));
  const std::string in_the_way = checkpoint_path(run, 6) + file;
  fs::create_directories(in_the_way + "/not empty");
  REQUIRE_THROWS_WITH(
      run_training(config, 4, 4, 1, {run, checkpoint_path(run, 4)}),
      Catch::Contains("the checkpoint of step 6 could not be written: " + in_the_way) &&
          Catch::Contains("the one before it is kept"));
  std::vector<std::string> warnings;
  CHECK(newest_checkpoint(run, &warnings) == checkpoint_path(run, 4));
  CHECK(warnings.empty());  // what was written of step 6 is gone
}
