// The abtrain program as a user meets it: started as a process, alone or under mpirun, with its
// exit code, both outputs and what it left behind.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/data/fixtures.h"

namespace ab::test {

struct Outcome {
  int exit = -1;  // 128 + signal when one ended it; 137 also when it did not end in time
  std::string out, err;
  double seconds = 0.0;
};

struct Start {
  int mpi_ranks = 0;        // 0: no launcher
  int64_t file_limit = 0;   // largest file the process may write, bytes; 0: no limit
  double timeout_s = 30.0;  // then the process is killed
  // mpirun alone: words that the last rank gets besides.
  std::vector<std::string> last_rank = {};
  // Called with the process (mpirun, where there are ranks) once it runs.
  std::function<void(pid_t)> meanwhile = {};
};

Outcome abtrain(const std::vector<std::string>& arguments, const Start& start = {});

// The "abtrain: error: ..." lines of stderr.
std::vector<std::string> error_lines(const Outcome& outcome);

std::string text_of(const std::filesystem::path& file);
// Of a run's folder, by step.
std::vector<double> losses_of(const std::filesystem::path& run);
// Waits until the run has completed `step`; false when it has not after a while.
bool wait_for_step(const std::filesystem::path& run, int64_t step);

// Whether the program finds a GPU, or the stand-ins of one.
bool has_gpu();

// Processes other than this one whose command line holds `text`, by number; and how many there are
// after a second of grace.
std::vector<pid_t> processes_with(const std::string& text);
int processes_naming(const std::string& text);

// A configuration of a small ViT on the digits of the repository: 4,000 images of 28 x 28, twelve
// steps with two cycles of ab.
std::string tiny_config(const TempDir& folder);

// Runs `arguments` after "train --config <tiny>" on four ranks, which must end with `exit` and one
// line that holds all `parts`. mpi: ranks by mpirun, else threads.
struct Failure {
  int exit = 2;
  std::vector<std::string> parts;
  bool mpi = false;
  int64_t file_limit = 0;
};
Outcome check_failure(const TempDir& folder, std::vector<std::string> arguments,
                      const Failure& expected);

}  // namespace ab::test
