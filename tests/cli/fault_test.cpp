// Ranks of mpirun that freeze, die, throw, find their disk full or start with another
// configuration: every rank ends, with the exit code of the interface and a line that names who it
// was, and no process stays. Only processes that this test started are stopped or killed.
#include <sys/mount.h>

#include <cctype>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/cli/bad_data.h"

using namespace ab::test;

namespace {

constexpr int kRanks = 4;

// The ranks of an mpirun are its children, started in the order of ranks.
std::vector<pid_t> ranks_of(pid_t mpirun) {
  std::vector<pid_t> ranks;
  for (const pid_t process : processes_with("")) {
    const std::string stat = text_of("/proc/" + std::to_string(process) + "/stat");
    const size_t name_end = stat.rfind(')');  // "12 (name) S <parent> ..."
    if (name_end == std::string::npos) continue;
    if (std::atoi(stat.c_str() + name_end + 4) == mpirun) ranks.push_back(process);
  }
  return ranks;
}

struct Fault {
  const TempDir folder;
  std::string run = (folder / "run").string();
  Start start{.mpi_ranks = kRanks, .timeout_s = 100.0};

  // Sends `signal` to rank `rank` once the run is under way.
  void signal_rank(size_t rank, int signal) {
    start.meanwhile = [this, rank, signal](pid_t mpirun) {
      if (!wait_for_step(run, 2)) return;
      const std::vector<pid_t> ranks = ranks_of(mpirun);
      if (ranks.size() == kRanks) kill(ranks[rank], signal);
    };
  }
  Outcome train(std::vector<std::string> more) {
    std::vector<std::string> words = {"train", "--config", tiny_config(folder), "--method", "ab",
                                      "--out", run,        "--resume",          "auto"};
    words.insert(words.end(), more.begin(), more.end());
    Outcome outcome = abtrain(words, start);
    CHECK(processes_naming(folder.path().string()) == 0);
    return outcome;
  }
};

// A file system of two megabytes.
class Disk {
 public:
  explicit Disk(const std::string& folder) : folder_(folder) {
    fs::create_directories(folder);
    mounted_ = mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=2m") == 0;
  }
  ~Disk() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  void fill() const {
    const std::string block(4096, ' ');
    for (int i = 0; i < 20; ++i) {  // what a checkpoint that failed gives back, too
      std::ofstream file(folder_ + "/filler", std::ios::app);
      while (file.write(block.data(), 4096).flush()) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  void make_room() const { fs::remove(folder_ + "/filler"); }

 private:
  std::string folder_;
  bool mounted_ = false;
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
  std::vector<std::string> words = {"--set", "comm.timeout_s=8"};
  words.insert(words.end(), kEndless.begin(), kEndless.end());
  const Outcome outcome = fault.train(words);
  INFO(outcome.err);
  CHECK(outcome.exit == 5);
  REQUIRE(!error_lines(outcome).empty());
  CHECK(holds(error_lines(outcome)[0],
              {"rank 1 on host ", " does not answer", "did not finish within 8 s",
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
  const Disk disk(fault.run);
  if (!disk.mounted()) {
    WARN("only root may mount the small disk of this test");
    return;
  }
  // Takes what is left once a checkpoint is there.
  fault.start.meanwhile = [&](pid_t) {
    if (wait_for_step(fault.run, 20)) disk.fill();
  };
  std::vector<std::string> words = {"--set", "checkpoint.every_steps=4", "--set",
                                    "checkpoint.keep=1"};
  words.insert(words.end(), kEndless.begin(), kEndless.end());
  const Outcome outcome = fault.train(words);
  INFO(outcome.out << outcome.err);
  CHECK(outcome.exit == 3);
  REQUIRE(!error_lines(outcome).empty());
  CHECK(holds(error_lines(outcome)[0], {fault.run, "No space left on device"}));
  disk.make_room();
  fault.start.meanwhile = {};
  setenv("SLURM_JOB_END_TIME", "1000000000", 1);  // goes on to the next checkpoint, then stops
  const Outcome again = fault.train(words);
  unsetenv("SLURM_JOB_END_TIME");
  INFO(again.out << again.err);
  CHECK(again.exit == 75);
  CHECK(holds(again.out, {"goes on from " + fault.run + "/checkpoints/step-"}));
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
