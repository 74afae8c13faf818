// PhaseBorder: the one place where layers, optimiser, groups and ledger meet (method.md sections 4
// to 6).
//   decompose   W = A B, small singular values dropped; each group trains A or B from here on
//   merge       A and B averaged over the world, W = A B on every rank
// Both change the store's layout: a reducer made before is stale afterwards.
#pragma once
#include <vector>

#include "distributed/communicator.h"
#include "tools/train/merge_rules.h"
#include "tools/train/moment_stash.h"
#include "tools/train/replica.h"
#include "tools/train/replica_check.h"
#include "tools/train/run_folder.h"

namespace ab {

// Which group rank decomposes which weight: the costliest first, each to the rank with the least
// work so far. Cost m n^2; pure, the same on every rank.
std::vector<int> deal_out_layers(const std::vector<FactoredWeight*>& weights, int ranks);

// Doubles per layer that tell a group of a decomposition: k, sigma_max, energy_lost, residual, ms,
// driver, then the spectrum.
constexpr int64_t kReportFields = 6 + kSpectrumPoints;

class PhaseBorder {
 public:
  PhaseBorder(const Config& config, Replica& replica, Communicator& world, const GroupPlace& place);

  // Returns what was kept of each layer, the same on every rank of a group.
  std::vector<RankRecord> decompose(int cycle);
  void merge();
  // Batch-norm running statistics, averaged over the world where they are not synchronised.
  void average_statistics();
  ReplicaCheck& replicas() { return replicas_; }
  MomentStash& stash() { return stash_; }
  MergeRules& rules() { return rules_; }

 private:
  struct Decomposed {
    FactoredWeight* weight;
    Factors factors;  // of the layers this rank owns
    DecompositionReport report;
  };
  std::vector<Decomposed> decompose_owned(int cycle, const std::vector<int>& owners);
  void share_reports(std::vector<Decomposed>& layers);
  void install_factors(const std::vector<Decomposed>& layers, const std::vector<int>& owners);
  void average_factors_and_rest();
  void average_moments();
  void multiply_back();

  const Config& config_;
  Replica& replica_;
  Communicator& world_;
  GroupPlace place_;
  ReplicaCheck replicas_;
  MomentStash stash_;
  MergeRules rules_;
};

}  // namespace ab
