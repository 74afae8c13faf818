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

std::map<LedgerKey, LedgerEntry> Ledger::since(const Ledger& before) const {
  std::map<LedgerKey, LedgerEntry> booked;
  for (const auto& [key, now] : entries_) {
    const auto found = before.entries_.find(key);
    const LedgerEntry then = found == before.entries_.end() ? LedgerEntry() : found->second;
    if (now == then) continue;
    booked[key] = {now.calls - then.calls, now.elements - then.elements,
                   now.payload_bytes - then.payload_bytes, now.sent_bytes - then.sent_bytes,
                   now.inter_node_bytes - then.inter_node_bytes};
  }
  return booked;
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
