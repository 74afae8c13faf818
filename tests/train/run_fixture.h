// Whole small runs on local ranks, with everything a test wants to look at afterwards.
#pragma once
#include <map>
#include <vector>

#include "tests/device_under_test.h"
#include "tests/train/scratch_folder.h"
#include "tools/train/traffic_plan.h"
#include "tools/train/trainer.h"

namespace ab {

struct FinishedRun {
  std::vector<double> losses;               // by step
  std::vector<std::vector<float>> weights;  // by rank: all present values, then buffers
  std::map<LedgerKey, LedgerEntry> ledger;  // of all ranks
  TrainingResult result;                    // rank 0
  std::vector<PhaseSpan> spans;
};

// A tiny network on synthetic images; `changes` are --set lines laid over it ("ab.group_size=2").
Config tiny_config(const std::string& model, const std::vector<std::string>& changes);

// folder: where the run writes, kept afterwards; resume_from: a checkpoint to go on from; device:
// each rank's own where it is a GPU.
struct RunPlaces {
  std::string folder, resume_from;
  DeviceKind device = test_device();
};
FinishedRun run_training(const Config& config, int ranks, int ranks_per_node = 0, int threads = 1,
                         const RunPlaces& places = {});

// The plan of the same run, given the ranks it kept.
std::map<LedgerKey, LedgerEntry> planned(const Config& config, int ranks, int ranks_per_node,
                                         const LayerRanks& kept);

// Losses are sums of a few hundred rounded terms over a dozen steps that feed back on themselves.
constexpr double kRounding = 1e-4;
void check_close(const std::vector<double>& a, const std::vector<double>& b, size_t steps);

// |a - b| / |b| over whole vectors.
double relative_distance(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace ab
