#include "distributed/ledger.h"

namespace ab {

const char* name_of(Collective collective) {
  constexpr const char* kNames[] = {"all_reduce", "broadcast", "all_gather"};
  return kNames[static_cast<int>(collective)];
}

const char* name_of(Purpose purpose) {
  constexpr const char* kNames[] = {
      "gradients",  "batch_norm",      "metrics",          "evaluation",    "factors",
      "ranks",      "merge_factors",   "merge_unfactored", "merge_moments", "merge_statistics",
      "hash",       "ledger",          "checkpoint",       "stop",          "low_rank_p",
      "low_rank_q", "average_weights", "average_moments"};
  static_assert(std::size(kNames) == static_cast<size_t>(Purpose::kAverageMoments) + 1);
  return kNames[static_cast<int>(purpose)];
}

const char* name_of(Phase phase) {
  constexpr const char* kNames[] = {"start",    "warmup",     "decompose",  "ab",
                                    "merge",    "rebound",    "compressed", "local",
                                    "evaluate", "checkpoint", "end"};
  static_assert(std::size(kNames) == static_cast<size_t>(Phase::kEnd) + 1);
  return kNames[static_cast<int>(phase)];
}

LedgerEntry& LedgerEntry::operator+=(const LedgerEntry& other) {
  calls += other.calls;
  elements += other.elements;
  payload_bytes += other.payload_bytes;
  sent_bytes += other.sent_bytes;
  inter_node_bytes += other.inter_node_bytes;
  return *this;
}

void Ledger::book(const std::string& communicator, Collective collective, Purpose purpose,
                  DType dtype, const LedgerEntry& entry) {
  add({phase_, communicator, collective, purpose, dtype}, entry);
}

int64_t Ledger::sent_bytes() const {
  int64_t total = 0;
  for (const auto& [key, entry] : entries_) total += entry.sent_bytes;
  return total;
}

int64_t Ledger::inter_node_bytes() const {
  int64_t total = 0;
  for (const auto& [key, entry] : entries_) total += entry.inter_node_bytes;
  return total;
}

}  // namespace ab
