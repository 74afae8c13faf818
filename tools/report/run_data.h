// One run as its folder tells it. What is missing or damaged becomes a note that names the file,
// and the rest is shown: a run that failed or still goes on is read as far as it came.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/train/config.h"

namespace ab::report {

// Numbers that a file lacks, or holds as null, are NaN.
struct StepRow {
  int64_t step = 0;
  std::string phase;
  int cycle = -1;
  double lr = 0.0, loss = 0.0, grad_norm = 0.0, images_per_s = 0.0, step_s = 0.0, comm_wait_s = 0.0;
};

struct EvalRow {
  int64_t step = 0;
  double loss = 0.0, top1 = 0.0, top5 = 0.0;
};

struct RankRow {
  int cycle = 0;
  std::string layer;
  int64_t m = 0, n = 0, k = 0;
  std::vector<std::pair<int64_t, double>> spectrum;  // j, sigma_j / sigma_max
};

// Updates (from, to] of one phase, as the logged steps tell them.
struct PhaseStretch {
  std::string phase;
  int cycle = -1;
  int64_t from = 0, to = 0;
};

// Json's move only swaps; its declaration does not promise that.
struct RunData {                 // NOLINT(bugprone-exception-escape)
  std::string folder, name;      // name: the folder's last part, unlike the others on the page
  Json config, ledger, summary;  // null: missing or damaged
  std::vector<StepRow> steps;
  std::vector<EvalRow> evals;
  std::vector<RankRow> ranks;
  std::vector<std::string> notes;

  std::optional<int> exit() const;  // empty: the run wrote no summary (yet)
  int64_t last_step() const;        // completed and logged updates
  double total_steps() const;       // NaN: not known
  std::vector<PhaseStretch> phases() const;
  // "done", "exit 4, loss not finite, at step 120 of 400", "unfinished, at step 120 of 400".
  std::string status() const;
};

// Throws DataError where `folder` is no folder or holds no file of a run.
RunData read_run(const std::string& folder);
// Reads all and gives each its name.
std::vector<RunData> read_runs(const std::vector<std::string>& folders);

// A value by JSON pointer ("/resolved/total_steps"): NaN or "" where it is not there or of another
// type.
double number_at(const Json& tree, const std::string& pointer);
std::string text_at(const Json& tree, const std::string& pointer);

}  // namespace ab::report
