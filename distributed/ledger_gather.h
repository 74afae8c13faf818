// The ledgers of all ranks, brought together once at the end. What the gathering itself sends is
// part of the result, under (end, world, ..., ledger):
//   all-gather of 3 int64 per rank: its sent bytes, those that leave its node, a hash of its keys
//   all-reduce of 5 E int64, E = number of entries with these two: the entries in the order of keys
#pragma once
#include "distributed/communicator.h"

namespace ab {

// Each rank's totals.
struct RankBytes {
  std::vector<int64_t> sent, inter_node;
};

// Entries summed over the ranks. Every rank gets the same answer.
// Throws CommunicationError when ranks hold different keys.
std::map<LedgerKey, LedgerEntry> gather_ledger(Communicator& world, RankBytes& per_rank);

// What gather_ledger() will add to the other entries (already summed over the ranks); for the
// planner.
void book_gather(std::map<LedgerKey, LedgerEntry>& sums, const std::vector<int>& nodes);

}  // namespace ab
