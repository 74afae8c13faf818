// Ledger: every collective a rank takes part in, booked before it runs.
// payload = elements x bytes per element handed over by this rank; sent = bytes this rank puts on
// the wire under the algorithm that really runs (communicator.h); inter_node = the part of sent
// that leaves the node. Keys are (phase, communicator, collective, purpose, dtype).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/stream.h"

namespace ab {

enum class Collective : uint8_t { kAllReduce, kBroadcast, kAllGather };

// Why bytes travel. One list for ledger and plan.
enum class Purpose : uint8_t {
  kGradients,        // one bucket
  kBatchNorm,        // synchronised batch statistics, forward and backward
  kMetrics,          // loss of a step
  kEvaluation,       // sums of an evaluation
  kFactors,          // decompose: A and B inside the group
  kRanks,            // decompose: kept ranks and reports of the layers dealt out
  kMergeFactors,     // merge: A and B
  kMergeUnfactored,  // merge: everything that was trained whole
  kMergeMoments,     // merge: AdamW moments of the unfactored
  kMergeStatistics,  // merge: batch-norm running statistics
  kHash,             // replicas agree
  kLedger,           // this table, brought together at the end
  kCheckpoint,       // every rank's part is on the disk
  kStop,             // whether a rank was asked to end the run
  kLowRankP,         // powersgd: the factors on the shorter sides
  kLowRankQ,         // powersgd: the factors on the longer sides
  kAverageWeights,   // local-sgd: weights of all groups
  kAverageMoments,   // local-sgd: AdamW moments of all groups
};

enum class Phase : uint8_t {
  kStart,
  kWarmup,
  kDecompose,
  kAb,
  kMerge,
  kRebound,
  kCompressed,
  kLocal,
  kEvaluate,
  kCheckpoint,
  kEnd,
};

const char* name_of(Collective collective);
const char* name_of(Purpose purpose);
const char* name_of(Phase phase);

struct LedgerKey {
  Phase phase;
  std::string communicator;
  Collective collective;
  Purpose purpose;
  DType dtype;
  auto operator<=>(const LedgerKey&) const = default;
};

struct LedgerEntry {
  int64_t calls = 0, elements = 0, payload_bytes = 0, sent_bytes = 0, inter_node_bytes = 0;
  LedgerEntry& operator+=(const LedgerEntry& other);
  bool operator==(const LedgerEntry&) const = default;
};

class Ledger {
 public:
  // The phase that the following collectives belong to.
  void set_phase(Phase phase) { phase_ = phase; }
  Phase phase() const { return phase_; }
  // The step of the run, for errors; counted from 1.
  void set_step(int64_t step) { step_ = step; }
  int64_t step() const { return step_; }
  void book(const std::string& communicator, Collective collective, Purpose purpose, DType dtype,
            const LedgerEntry& entry);
  void add(const LedgerKey& key, const LedgerEntry& entry) { entries_[key] += entry; }
  void clear() { entries_.clear(); }
  const std::map<LedgerKey, LedgerEntry>& entries() const { return entries_; }
  // What was booked since an earlier state of this ledger.
  std::map<LedgerKey, LedgerEntry> since(const Ledger& before) const;
  int64_t sent_bytes() const;
  int64_t inter_node_bytes() const;

 private:
  Phase phase_ = Phase::kStart;
  int64_t step_ = 0;
  std::map<LedgerKey, LedgerEntry> entries_;
};

}  // namespace ab
