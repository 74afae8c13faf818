// The rank that each factorable weight keeps, cycle by cycle, and a replica in shapes of such
// ranks.
#pragma once
#include <vector>

#include "tools/train/replica.h"
#include "tools/train/run_plan.h"

namespace ab {

// Kept rank k of every factorable weight in each cycle; 0: stayed dense.
using LayerRanks = std::vector<std::vector<int64_t>>;

// Rows of `cycles` equal cycles in which every layer keeps rank 1, or its full rank.
LayerRanks lowest_ranks(const Replica& replica, int cycles);
LayerRanks highest_ranks(const Replica& replica, int cycles);
int count_cycles(const std::vector<PhaseSpan>& spans);

// Brings the replica's layout into the shapes of an AB phase, and back. trains_a: A
// is trained, else B.
void shape_as_factored(Replica& replica, const std::vector<int64_t>& ranks, bool trains_a);
void shape_as_dense(Replica& replica);

}  // namespace ab
