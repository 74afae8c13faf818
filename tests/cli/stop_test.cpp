// A run that is asked to stop checkpoints on all ranks, ends with 75, and ends as the undisturbed
// run when it is started again: by a signal, and by the end of a Slurm job.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "tests/cli/program.h"

using namespace ab::test;

namespace {

std::vector<std::string> run_words(const TempDir& folder, int mpi, const std::string& out,
                                   const std::vector<std::string>& settings) {
  std::vector<std::string> words = {"train", "--config",   tiny_config(folder), "--method", "ab",
                                    "--out", folder / out, "--resume",          "auto"};
  if (mpi == 0) words.insert(words.end(), {"--local-ranks", "4"});
  for (const std::string& setting : settings) words.insert(words.end(), {"--set", setting});
  return words;
}

// Threads of the abtrain processes whose command line holds `text`.
struct Thread {
  bool main = false;
  std::string name;
  uint64_t blocked = 0;  // signal s: bit s - 1
};

std::string field(const std::string& status, const std::string& name) {
  const size_t from = status.find(name + ":\t") + name.size() + 2;
  return status.substr(from, status.find('\n', from) - from);
}

std::vector<Thread> threads_naming(const std::string& text) {
  std::vector<Thread> threads;
  for (const pid_t process : processes_with(text)) {
    const fs::path files = "/proc/" + std::to_string(process);
    if (text_of(files / "comm") != "abtrain\n") continue;  // mpirun
    for (const auto& task : fs::directory_iterator(files / "task")) {
      const std::string status = text_of(task.path() / "status");
      if (status.empty()) continue;  // it has just ended
      threads.push_back({task.path().filename() == files.filename(), field(status, "Name"),
                         std::stoull(field(status, "SigBlk"), nullptr, 16)});
    }
  }
  return threads;
}

bool blocks_all(const Thread& thread) {
  constexpr uint64_t kAll = 1ull << (SIGTERM - 1) | 1ull << (SIGINT - 1) | 1ull << (SIGUSR1 - 1);
  return (thread.blocked & kAll) == kAll;
}

}  // namespace

TEST_CASE("a signal ends the run with a checkpoint and 75, a second one at once", "[stop]") {
  const int mpi = GENERATE(0, 4);
  CAPTURE(mpi);
  const TempDir folder;
  const std::vector<std::string> small = {"data.local_batch=2", "train.steps=480",
                                          "checkpoint.ask_every=7"};
  const Outcome whole = abtrain(run_words(folder, mpi, "whole", small), {.mpi_ranks = mpi});
  REQUIRE(whole.exit == 0);
  const auto words = run_words(folder, mpi, "again", small);
  Start start{.mpi_ranks = mpi};
  // mpirun hands SIGUSR1 on to every rank.
  start.meanwhile = [&](pid_t process) {
    if (wait_for_step(folder / "again", 1)) kill(process, SIGUSR1);
  };
  const Outcome stopped = abtrain(words, start);
  INFO(stopped.out << stopped.err);
  CHECK(stopped.exit == 75);
  CHECK(holds(stopped.out, {"a signal reached", "of 4 ranks", "--resume auto --out"}));
  CHECK(error_lines(stopped).empty());
  CHECK(holds(text_of(folder / "again/summary.json"), {"\"exit\": 75"}));
  CHECK(losses_of(folder / "again").size() < 480);
  CHECK(processes_naming(folder.path().string()) == 0);
  const Outcome resumed = abtrain(words, {.mpi_ranks = mpi});
  CHECK(resumed.exit == 0);
  CHECK(holds(resumed.out, {"goes on from"}));
  CHECK(losses_of(folder / "again") == losses_of(folder / "whole"));
}

// A handler's frame on the stack of a thread inside oneDNN's sgemm would land in the heap.
TEST_CASE("threads that compute take no signal", "[stop]") {
  const int mpi = GENERATE(0, 4);
  CAPTURE(mpi);
  const TempDir folder;
  std::vector<Thread> threads;
  Start start{.mpi_ranks = mpi};
  start.meanwhile = [&](pid_t process) {
    if (!wait_for_step(folder / "run", 1)) return;
    threads = threads_naming(folder.path().string());
    kill(process, SIGUSR1);
  };
  CHECK(abtrain(run_words(folder, mpi, "run", {"train.steps=100000000"}), start).exit == 75);
  const auto count = [&](auto&& wanted) {
    return std::count_if(threads.begin(), threads.end(), wanted);
  };
  const int processes = mpi > 0 ? mpi : 1;
  CHECK(count([](const Thread& t) { return t.main; }) == processes);
  CHECK(count([](const Thread& t) { return t.name == "signals" && !blocks_all(t); }) == processes);
  // Ranks are the main threads of processes, or four beside the main thread, which waits for them.
  CHECK(count([&](const Thread& t) { return blocks_all(t) && t.main == (mpi > 0); }) >= 4);
}

TEST_CASE("a second signal of any kind ends a run at once", "[stop]") {
  const auto [first, second] = GENERATE(std::pair(SIGTERM, SIGTERM), std::pair(SIGUSR1, SIGINT));
  CAPTURE(first, second);
  const TempDir folder;
  Start start;
  start.meanwhile = [&, first = first, second = second](pid_t process) {
    if (!wait_for_step(folder / "run", 1)) return;
    for (const int signal : {first, second}) {
      kill(process, signal);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  };
  // No step at which the ranks would agree comes.
  const Outcome outcome = abtrain(
      run_words(folder, 0, "run", {"train.steps=100000000", "checkpoint.ask_every=99999999"}),
      start);
  CHECK(outcome.exit == 128 + second);
}

TEST_CASE("a Slurm job that is near its end checkpoints by itself", "[stop]") {
  const int mpi = GENERATE(0, 4);
  CAPTURE(mpi);
  const TempDir folder;
  REQUIRE(abtrain(run_words(folder, 0, "whole", {})).exit == 0);
  const auto words = run_words(folder, mpi, "job", {"checkpoint.ask_every=4"});
  // Twelve steps: a job stops after 4, the next after 8, the last has nothing left to ask.
  setenv("SLURM_JOB_END_TIME", "1000000000", 1);
  std::vector<int> exits;
  for (int job = 0; job < 3; ++job) exits.push_back(abtrain(words, {.mpi_ranks = mpi}).exit);
  unsetenv("SLURM_JOB_END_TIME");
  CHECK(exits == std::vector<int>{75, 75, 0});
  CHECK(losses_of(folder / "job").size() == 12);
  CHECK(losses_of(folder / "job") == losses_of(folder / "whole"));
}
