// Ranks of mpirun that freeze, die, throw, find their disk full or start with another
// configuration: every rank ends, with the exit code of the interface and a line that names who it
// was, and no process stays. Only processes that this test started are stopped or killed.
#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdlib>

#include "tests/cli/bad_data.h"

using namespace ab::test;

namespace {

constexpr int kRanks = 4;

// The ranks of an mpirun are its children, started in the order of ranks.
std::vector<pid_t> ranks_of(pid_t mpirun) {
  std::vector<pid_t> ranks;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const pid_t process = std::atoi(entry.path().filename().c_str());
    const std::string stat = process > 0 ? text_of(entry.path() / "stat") : "";
    const size_t name_end = stat.rfind(')');  // "12 (name) S <parent> ..."
    if (name_end == std::string::npos) continue;
    if (std::atoi(stat.c_str() + name_end + 4) == mpirun) ranks.push_back(process);
  }
  std::sort(ranks.begin(), ranks.end());
  return ranks;
}

struct Fault {
  const TempDir folder;
  std::string run = (folder / "run").string();
  Start start{.mpi_ranks = kRanks, .timeout_s = 60.0};

  // Sends `signal` to rank `rank` once the run is under way.
  void signal_rank(size_t rank, int signal) {
    start.meanwhile = [this, rank, signal](pid_t mpirun) {
      if (!wait_for_step(run, 2)) return;
      const std::vector<pid_t> ranks = ranks_of(mpirun);
      if (ranks.size() == kRanks) kill(ranks[rank], signal);
    };
  }
  Outcome train(std::vector<std::string> more) {
    std::vector<std::string> words = {"train",    "--config", tiny_config(folder),
                                      "--method", "ab",       "--out",
                                      run,        "--set",    "comm.timeout_s=3"};
    words.insert(words.end(), more.begin(), more.end());
    Outcome outcome = abtrain(words, start);
    CHECK(processes_naming(folder.path().string()) == 0);
    return outcome;
  }
};

// A summary with this exit code was left by rank 0.
bool left_summary(const Fault& fault, int exit) {
  return holds(text_of(fs::path(fault.run) / "summary.json"),
               {"\"exit\": " + std::to_string(exit)});
}

const std::vector<std::string> kEndless = {"--set", "train.steps=100000000",
                                           "--set", "data.local_batch=2",
                                           "--set", "ab.warmup_steps=100000"};

}  // namespace

TEST_CASE("a frozen rank is named, with the collective the others wait in", "[fault]") {
  Fault fault;
  fault.signal_rank(1, SIGSTOP);
  const Outcome outcome = fault.train(kEndless);
  INFO(outcome.err);
  CHECK(outcome.exit == 5);
  CHECK(outcome.seconds < 45.0);  // 3 s, and 10, and what starting takes under load
  REQUIRE(!error_lines(outcome).empty());
  CHECK(holds(error_lines(outcome)[0],
              {"rank 1 on host ", " does not answer", "did not finish within 3 s",
               "in communicator", "in phase warmup, step "}));
  CHECK(left_summary(fault, 5));
}

TEST_CASE("a killed rank is named at once", "[fault]") {
  Fault fault;
  fault.signal_rank(2, SIGKILL);
  const Outcome outcome = fault.train(kEndless);
  INFO(outcome.err);
  // Open MPI hands on how the killed rank ended; the others end with 5, which summary.json tells.
  CHECK(outcome.exit == 128 + SIGKILL);
  CHECK(left_summary(fault, 5));
  REQUIRE(!error_lines(outcome).empty());
  CHECK(holds(error_lines(outcome)[0], {"rank 2 on host ", "is gone without a word", "in phase"}));
}

TEST_CASE("a rank that throws in the loader ends all with its error", "[fault]") {
  Fault fault;
  const CutPicture cut = image_folder_with_cut_picture(fault.folder / "images");
  const Outcome outcome = fault.train(cut.arguments);
  INFO(outcome.err);
  CHECK(outcome.exit == 3);
  REQUIRE(error_lines(outcome).size() == 1);
  CHECK(holds(error_lines(outcome)[0], {cut.file, "cut short"}));
  CHECK(left_summary(fault, 3));
}

TEST_CASE("a full disk ends the run and leaves the checkpoint before it whole", "[fault]") {
  Fault fault;
  const std::vector<std::string> words = {"--set", "checkpoint.every_steps=2", "--set",
                                          "train.steps=4"};
  REQUIRE(fault.train(words).exit == 0);
  // The files of a later checkpoint are as large; metrics.jsonl grows into the limit after them.
  const fs::path checkpoint = fs::path(fault.run) / "checkpoints/step-00000002";
  REQUIRE(fs::exists(checkpoint / "DONE"));
  fs::remove_all(fs::path(fault.run) / "checkpoints/step-00000004");
  fault.start.file_limit = 6000;
  const Outcome outcome = fault.train({"--resume", "auto", "--set", "checkpoint.every_steps=1",
                                       "--set", "train.steps=400", "--set", "data.local_batch=2"});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.exit == 3);
  CHECK(holds(outcome.out,
              {"warning: no checkpoint at step 8: ", "File too large", "the one before is kept"}));
  REQUIRE(error_lines(outcome).size() == 1);
  CHECK(holds(error_lines(outcome)[0], {"metrics.jsonl", "File too large"}));
  CHECK(fs::exists(checkpoint / "DONE"));
  fault.start.file_limit = 0;
  const Outcome again = fault.train({"--resume", "auto", "--set", "train.steps=4"});
  INFO(again.out << again.err);
  CHECK(again.exit == 0);
  CHECK(holds(again.out, {"goes on from " + checkpoint.string()}));
}

TEST_CASE("a rank that starts with another configuration is named with the key", "[fault]") {
  Fault fault;
  fault.start.last_rank = {"--set", "adamw.lr=0.5"};
  const Outcome outcome = fault.train({});
  INFO(outcome.err);
  CHECK(outcome.exit == 2);
  REQUIRE(error_lines(outcome).size() == 1);
  CHECK(holds(error_lines(outcome)[0], {"rank 3 has another value of adamw.lr than rank 0"}));
  CHECK(left_summary(fault, 2));
}
