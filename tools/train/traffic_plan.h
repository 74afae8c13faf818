// Traffic plan: every byte of a run, predicted in closed form before it starts. It must equal the
// ledger of the run to the byte (tests/train/ledger_test.cpp); it shares with the run only
// the cost of one collective (distributed/traffic.h), the schedule and the cut of buckets, not the
// code that calls them.
#pragma once
#include <map>
#include <vector>

#include "distributed/ledger.h"
#include "tools/train/layer_ranks.h"

namespace ab {

struct WorldLayout {
  int world = 1, ranks_per_node = 1;
};

// The table of all ranks together. `replica` lives on a dry device and is brought into the shapes
// of every phase; it is dense again at the end. `ranks` must hold one row per AB span. first_rank,
// if given: what rank 0 takes part in, but for the gathering of the ledgers.
std::map<LedgerKey, LedgerEntry> plan_traffic(
    const Config& config, const Resolved& resolved, const WorldLayout& layout, Replica& replica,
    const LayerRanks& ranks, std::map<LedgerKey, LedgerEntry>* first_rank = nullptr);

int64_t sent_bytes(const std::map<LedgerKey, LedgerEntry>& entries);
int64_t inter_node_bytes(const std::map<LedgerKey, LedgerEntry>& entries);

}  // namespace ab
