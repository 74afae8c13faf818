#include "tests/cli/program.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace ab::test {
namespace {

using Clock = std::chrono::steady_clock;

const char* kProgram = AB_BINARY_DIR "/bin/abtrain";

std::vector<std::string> command_line(const std::vector<std::string>& arguments,
                                      const Start& start) {
  const int odd = start.last_rank.empty() ? 0 : 1;
  std::vector<std::string> words;
  if (start.mpi_ranks > 0)
    words = {AB_MPIEXEC,  "--oversubscribe",
             "--bind-to", "none",
             "-n",        std::to_string(start.mpi_ranks - odd)};
  words.emplace_back(kProgram);
  words.insert(words.end(), arguments.begin(), arguments.end());
  if (odd == 0) return words;
  words.insert(words.end(), {":", "-n", "1", kProgram});
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.insert(words.end(), start.last_rank.begin(), start.last_rank.end());
  return words;
}

void redirect(int descriptor, const fs::path& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(file, descriptor);
  close(file);
}

[[noreturn]] void become(std::vector<std::string>& words, const Start& start, const TempDir& logs) {
  setpgid(0, 0);
  redirect(STDOUT_FILENO, logs / "out");
  redirect(STDERR_FILENO, logs / "err");
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  if (start.mpi_ranks > 0) setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  // of the MPI library
  if (start.file_limit > 0) {
    const rlimit limit{static_cast<rlim_t>(start.file_limit),
                       static_cast<rlim_t>(start.file_limit)};
    setrlimit(RLIMIT_FSIZE, &limit);
    setenv("GCOV_ERROR_FILE", "/dev/null",
           1);  // coverage of a stand-in build stays within it as well
  }
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execv(pointers[0], pointers.data());
  _exit(127);
}

// The exit code, 128 + signal, or 137 after killing the process group.
int wait_for(pid_t process, double timeout_s) {
  const auto deadline = Clock::now() + std::chrono::duration<double>(timeout_s);
  int status = 0;
  while (waitpid(process, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) {
      kill(-process, SIGKILL);
      waitpid(process, &status, 0);
      return 128 + SIGKILL;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Outcome abtrain(const std::vector<std::string>& arguments, const Start& start) {
  const TempDir logs;
  std::vector<std::string> words = command_line(arguments, start);
  const auto begin = Clock::now();
  const pid_t process = fork();
  if (process == 0) become(words, start, logs);
  if (start.meanwhile) start.meanwhile(process);
  Outcome outcome;
  outcome.exit = wait_for(process, start.timeout_s);
  outcome.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  outcome.out = text_of(logs / "out");
  outcome.err = text_of(logs / "err");
  return outcome;
}

std::string text_of(const fs::path& path) {
  try {
    const Bytes bytes = read_bytes(path);
    return {bytes.begin(), bytes.end()};
  } catch (const std::exception&) {  // a process whose files in /proc went while they were read
    return "";
  }
}

std::vector<double> losses_of(const fs::path& run) {
  std::ifstream file(run / "metrics.jsonl");
  std::vector<double> losses;
  for (std::string line; std::getline(file, line);) {
    const auto row = nlohmann::json::parse(line);
    if (row.contains("loss")) losses.push_back(row["loss"].get<double>());
  }
  return losses;
}

bool wait_for_step(const fs::path& run, int64_t step) {
  const std::string wanted = "{\"step\":" + std::to_string(step) + ",";
  for (int i = 0; i < 12000; ++i) {
    std::ifstream file(run / "metrics.jsonl");
    for (std::string line; std::getline(file, line);)
      if (line.starts_with(wanted)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

std::vector<std::string> error_lines(const Outcome& outcome) {
  std::vector<std::string> lines;
  std::istringstream err(outcome.err);
  for (std::string line; std::getline(err, line);)
    if (line.find("abtrain: error: ") != std::string::npos) lines.push_back(line);
  return lines;
}

bool has_gpu() {
#if defined(AB_STANDIN)
  return true;
#else
  return fs::exists("/dev/nvidia0");
#endif
}

std::vector<pid_t> processes_with(const std::string& text) {
  std::vector<pid_t> processes;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const pid_t process = std::atoi(entry.path().filename().c_str());
    if (process <= 0 || process == getpid()) continue;
    if (text_of(entry.path() / "cmdline").find(text) != std::string::npos)
      processes.push_back(process);
  }
  std::sort(processes.begin(), processes.end());
  return processes;
}

int processes_naming(const std::string& text) {
  for (int i = 0; i < 20 && !processes_with(text).empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return static_cast<int>(processes_with(text).size());
}

std::string tiny_config(const TempDir& folder) {
  const std::string text = R"({
  "model": {"name": "vit", "classes": 10, "image": 28, "patch": 7, "depth": 2, "dim": 32,
            "heads": 2, "drop_path": 0.0},
  "data": {"format": "idx", "dir": ")" AB_SOURCE_DIR R"(/data/samples/mnist", "local_batch": 25,
           "augment": "none", "workers": 1},
  "train": {"steps": 12, "eval_every": 0},
  "schedule": {"warmup_epochs": 0},
  "ab": {"group_size": 2, "warmup_steps": 3, "ab_steps": 3, "rebound_steps": 2,
         "lr_rebound_steps": 2}
})";
  write_file(folder / "tiny.json", {text.begin(), text.end()});
  return (folder / "tiny.json").string();
}

Outcome check_failure(const TempDir& folder, std::vector<std::string> arguments,
                      const Failure& expected) {
  std::vector<std::string> words = {"train", "--config", tiny_config(folder)};
  bool placed = false;
  for (const std::string& word : arguments) placed |= word == "--out";
  if (!placed) arguments.insert(arguments.end(), {"--out", (folder / "run").string()});
  if (!expected.mpi) words.insert(words.end(), {"--local-ranks", "4"});
  words.insert(words.end(), arguments.begin(), arguments.end());
  const Outcome outcome =
      abtrain(words, {.mpi_ranks = expected.mpi ? 4 : 0, .file_limit = expected.file_limit});
  INFO("stdout: " << outcome.out << "\nstderr: " << outcome.err);
  CHECK(outcome.exit == expected.exit);
  const auto lines = error_lines(outcome);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].rfind("abtrain: error: ", 0) == 0);
  CHECK(holds(lines[0], expected.parts));
  if (!expected.mpi) CHECK(outcome.err == lines[0] + "\n");
  CHECK(processes_naming(folder.path().string()) == 0);
  return outcome;
}

}  // namespace ab::test
