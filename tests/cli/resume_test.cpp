// A run that was killed goes on with --resume and leaves what the undisturbed run left.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

using namespace ab::test;

namespace {

fs::path checkpoint_path(const fs::path& run, int step) {
  char name[40];
  std::snprintf(name, sizeof name, "checkpoints/step-%08d", step);
  return run / name;
}

Bytes ledger_of(const fs::path& run) {
  return read_bytes(run / "ledger.json");
}

// What is left of a run that died after step 7: its checkpoints up to there, logs that ran ahead.
void kill_after_step_seven(const fs::path& run) {
  for (const char* name : {"summary.json", "ledger.json"}) fs::remove(run / name);
  for (const char* step : {"08", "10", "12"})
    fs::remove_all(run / ("checkpoints/step-000000" + std::string(step)));
}

}  // namespace

TEST_CASE("a killed run goes on with --resume and ends as if nothing had happened") {
  const int mpi = GENERATE(0, 4);
  CAPTURE(mpi);
  const TempDir folder;
  std::vector<std::string> words = {"train",
                                    "--config",
                                    tiny_config(folder),
                                    "--method",
                                    "ab",
                                    "--set",
                                    "checkpoint.every_steps=2",
                                    "--set",
                                    "checkpoint.keep=9"};
  if (mpi == 0) words.insert(words.end(), {"--local-ranks", "4"});
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    const Outcome outcome = abtrain(more, {.mpi_ranks = mpi});
    INFO(outcome.err);
    REQUIRE(outcome.exit == 0);
  };
  const fs::path whole = folder / "whole", again = folder / "again";
  run({"--out", whole.string()});
  fs::copy(whole, again, fs::copy_options::recursive);
  kill_after_step_seven(again);
  run({"--resume", again.string(), "--trace"});
  CHECK(losses_of(whole).size() == 12);
  CHECK(losses_of(again) == losses_of(whole));
  CHECK(ledger_of(again) == ledger_of(whole));
  std::ifstream trace(again / "trace.json");
  const nlohmann::json events = nlohmann::json::parse(trace);  // closed, as the run has ended
  const auto updates = std::count_if(events.begin(), events.end(),
                                     [](const auto& event) { return event["name"] == "update"; });
  CHECK(updates == 12 - 6);  // the checkpoint after step 6 was whole
}

TEST_CASE("a run goes on with half the ranks outside of group phases, and is refused inside") {
  const TempDir folder;
  const std::vector<std::string> words = {"train",
                                          "--config",
                                          tiny_config(folder),
                                          "--method",
                                          "ab",
                                          "--set",
                                          "checkpoint.every_steps=1",
                                          "--set",
                                          "checkpoint.keep=9"};
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return abtrain(more);
  };
  const fs::path whole = folder / "whole";
  REQUIRE(run({"--out", whole.string(), "--local-ranks", "4"}).exit == 0);
  // Warm-up 1 to 3, AB 4 to 6, rebound 7 and 8, AB 9 to 11. What is left after step `last`:
  const auto go_on_after = [&](int last) {
    const fs::path again = folder / ("after" + std::to_string(last));
    fs::copy(whole, again, fs::copy_options::recursive);
    for (int step = last + 1; step <= 12; ++step) fs::remove_all(checkpoint_path(again, step));
    return run({"--resume", again.string(), "--local-ranks", "2", "--set", "ab.group_size=1"});
  };
  const Outcome inside = go_on_after(5);
  CHECK(inside.exit == 2);
  REQUIRE(error_lines(inside).size() == 1);
  CHECK(holds(error_lines(inside)[0], {"step-00000005 is of step 5", "4 ranks in groups of 2",
                                       "after step 3 and after step 6"}));
  const Outcome border = go_on_after(6);
  INFO(border.err);
  CHECK(border.exit == 0);
  CHECK(holds(border.out, {"12 steps of 100 images"}));  // 2 x 50 instead of 4 x 25
  CHECK(losses_of(folder / "after6").size() == 12);
}

TEST_CASE("--resume auto begins a run where there is none, and goes on where there is one") {
  const TempDir folder;
  const std::vector<std::string> words = {"train",
                                          "--config",
                                          tiny_config(folder),
                                          "--method",
                                          "ab",
                                          "--local-ranks",
                                          "4",
                                          "--set",
                                          "checkpoint.every_steps=4",
                                          "--resume",
                                          "auto",
                                          "--out",
                                          (folder / "run").string()};
  REQUIRE(abtrain(words).exit == 0);
  const std::vector<double> first = losses_of(folder / "run");
  const Outcome second = abtrain(words);
  REQUIRE(second.exit == 0);
  CHECK(second.out.find("goes on from") != std::string::npos);
  CHECK(losses_of(folder / "run") == first);
}
