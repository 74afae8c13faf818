// Run folder: what a run leaves behind (interface: "A run's folder"), written by rank 0 alone.
//   config.json, ledger.json, summary.json   whole files, replaced atomically (temporary + rename)
//   metrics.jsonl, ranks.jsonl               one JSON object a line, on disk as soon as it is
//   written
// Doubles are printed so that they read back to the same bits; NaN and infinity become null.
// Every write is checked: a full disk or a lost mount is a DataError that names the file.
#pragma once
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "distributed/ledger_gather.h"
#include "engine/decomposition.h"
#include "tools/train/file_write.h"
#include "tools/train/resolve.h"

namespace ab {

struct StepRecord {
  int64_t step = 0;  // completed updates, 1 for the first
  double epoch = 0.0;
  std::string phase;
  int cycle = -1;
  double lr = 0.0, loss = 0.0, grad_norm = 0.0, images_per_s = 0.0, step_s = 0.0, comm_wait_s = 0.0;
};

struct EvalRecord {
  int64_t step = 0;
  double loss = 0.0, top1 = 0.0, top5 = 0.0;
  int64_t images = 0;
  // Images that did not decode: left out of this evaluation, and replaced in training so far.
  int64_t skipped = 0, skipped_in_training = 0;
};

struct RankRecord {
  int cycle = 0;
  std::string layer;
  DecompositionReport report;
};

// Where the run took place.
struct RunPlace {
  std::string device;  // Device::description()
  int world = 1, ranks_per_node = 1;
  std::vector<std::string> hosts;  // of every rank
};

// Fields that are empty (no evaluation, ddp has no compression, ...) are written as null.
struct Summary {
  std::optional<double> top1_last, top1_best;
  std::optional<int64_t> params_full, params_now;
  std::optional<double> compression;
  std::optional<int64_t> total_sent_bytes, ddp_sent_bytes;
  std::optional<double> traffic_reduction, ecr_executed, ecr_literal;
  std::optional<int64_t> skipped_train_samples, skipped_eval_images;
  int64_t steps = 0;
  double seconds = 0.0;
  std::optional<double> images_per_s;
  std::optional<int64_t> peak_memory_bytes;  // device memory of rank 0
  int exit = 0;
};

class RunFolder {
 public:
  // A new folder (parents too), or an existing one without a run in it. resume: goes on in a folder
  // that holds a run. Throws ConfigError (--out has to change) or DataError (a write failed).
  explicit RunFolder(std::string path, bool resume = false);

  const std::string& path() const { return path_; }
  // Going on from a checkpoint: drops lines after completed step `step` and from cycle `cycle` on,
  // and a last line that was cut off. Called before the first write_* of a resumed run.
  void keep_up_to(int64_t step, int cycle);

  void write_config(const Config& config, const Resolved& resolved, const RunPlace& place);
  void write_step(const StepRecord& record);
  void write_eval(const EvalRecord& record);
  void write_ranks(const RankRecord& record);
  // all: the ledgers of all ranks added up; nodes: the node of each rank.
  void write_ledger(const Ledger& all, const RankBytes& per_rank, const std::vector<int>& nodes,
                    int ranks_per_node);
  void write_summary(const Summary& summary);
  // Of a run that ended early: what the files above say so far, and the exit code.
  void write_failure(int exit, double seconds);

 private:
  std::string file(const char* name) const { return path_ + "/" + name; }

  std::string path_;
  std::optional<LineFile> metrics_, ranks_;
  Summary so_far_;
};

// Whether a run has left anything in this folder.
bool holds_run(const std::string& folder);
// "runs/<config stem>-<method>-<YYYYmmdd-HHMMSS>", local time.
std::string default_run_folder(const std::string& config_file, const std::string& method,
                               std::time_t now);
// The "entries" of ledger.json, in the ledger's order; the planner prints the same.
Json ledger_entries_json(const Ledger& ledger);

}  // namespace ab
