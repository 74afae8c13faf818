// Bad input on four ranks of mpirun: the exit code is mpirun's too, our line stands once among what
// mpirun says, and no process stays.
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/cli/bad_data.h"
#include "tests/train/random_config.h"

using namespace ab::test;

TEST_CASE("errors that all ranks meet at once are told once") {
  const TempDir folder;
  check_failure(folder, {"--set", "train.lr=3"},
                {.exit = 2, .parts = {"train.lr", "adamw.lr"}, .mpi = true});
  check_failure(folder, {"--method", "ab", "--set", "ab.group_size=3"},
                {.exit = 2, .parts = {"ab.group_size 3 with 4 ranks", "1, 2"}, .mpi = true});
  check_failure(folder, {"--lr", "3"}, {.exit = 2, .parts = {"--lr", "--help"}, .mpi = true});
  check_failure(folder, {"--local-ranks", "2"},
                {.exit = 2, .parts = {"--local-ranks 2", "leave the flag out"}, .mpi = true});
  check_failure(folder, {"--data", (folder / "nowhere").string()},
                {.exit = 3, .parts = {"nowhere", "--data"}, .mpi = true});
  check_failure(folder, {"--set", "data.local_batch=1001"},
                {.exit = 2, .parts = {"data.local_batch", "at most 1000"}, .mpi = true});
  if (!has_gpu())
    check_failure(folder, {"--device", "cuda"}, {.exit = 6, .parts = {"cuda"}, .mpi = true});
}

TEST_CASE("errors of one rank end them all") {
  const TempDir folder;
  check_failure(folder, {"--out", "/proc/run"},
                {.exit = 2, .parts = {"--out /proc/run", "choose a folder"}, .mpi = true});
  const CutPicture cut = image_folder_with_cut_picture(folder / "images");
  const Outcome outcome = check_failure(folder, cut.arguments,
                                        {.exit = 3, .parts = {cut.file, "cut short"}, .mpi = true});
  CHECK(holds(outcome.out, {"step 1/12"}));
  if (!fs::exists("/dev/full")) return;
  fs::create_directories(folder / "full");
  fs::create_symlink("/dev/full", folder / "full/ranks.jsonl");
  check_failure(folder, {"--method", "ab", "--out", (folder / "full").string()},
                {.exit = 3, .parts = {"full/ranks.jsonl", "No space left"}, .mpi = true});
}

TEST_CASE("a loss that is not finite ends every rank") {
  const TempDir folder;
  check_failure(folder, {"--set", "adamw.lr=1e38"},
                {.exit = 4, .parts = {"step 2", "phase warmup", "first concerned: "}, .mpi = true});
}

TEST_CASE("a run that ends well leaves the files and no error") {
  const TempDir folder;
  const std::string run = (folder / "run").string();
  const Outcome outcome = abtrain(
      {"train", "--config", tiny_config(folder), "--method", "ab", "--out", run}, {.mpi_ranks = 4});
  INFO(outcome.err);
  CHECK(outcome.exit == 0);
  CHECK(error_lines(outcome).empty());
  CHECK(fs::exists(folder / "run/summary.json"));
  const auto hosts = nlohmann::json::parse(std::ifstream(run + "/config.json"))["hosts"];
  CHECK((hosts.size() == 4 && hosts[0] != "" && hosts[0] == hosts[3]));
  CHECK(processes_naming(run) == 0);
}

TEST_CASE("the ledger of MPI ranks equals the plan, for settings drawn at random") {
  // Ranks of one machine are one node. tiny_config's model and data, the draw's settings.
  const auto [index, method] =
      GENERATE(table<uint64_t, std::string>({{101, "ab"}, {102, "powersgd"}, {103, "local-sgd"}}));
  const ab::DrawnRun drawn = ab::draw_run(index, method, 4);
  INFO(drawn.text());
  const TempDir folder;
  const std::string run = (folder / "run").string();
  std::vector<std::string> settings = {"--config", tiny_config(folder)};
  for (const std::string& setting : drawn.settings)
    settings.insert(settings.end(), {"--set", setting});
  std::vector<std::string> train = {"train", "--out", run};
  train.insert(train.end(), settings.begin(), settings.end());
  const Outcome trained = abtrain(train, {.mpi_ranks = 4});
  INFO(trained.err);
  REQUIRE(trained.exit == 0);
  std::vector<std::string> plan = {"plan", "--nodes",      "1", "--ranks-per-node",
                                   "4",    "--ranks-from", run, "--json"};
  plan.insert(plan.end(), settings.begin(), settings.end());
  const Outcome planned = abtrain(plan);
  INFO(planned.err);
  REQUIRE(planned.exit == 0);
  std::ifstream file(run + "/ledger.json");
  const auto ledger = nlohmann::json::parse(file), json = nlohmann::json::parse(planned.out);
  CHECK(ledger.at("entries").size() > 5);
  CHECK(ledger.at("entries") == json.at("entries"));
  CHECK(ledger.at("total_sent_bytes") == json.at("total_sent_bytes"));
}
