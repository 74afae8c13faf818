// What a collective costs: pure functions of (collective, elements, rank, layout of ranks on
// nodes). The communicator books with them and the planner predicts with them.
//   all-reduce   ring reduce-scatter + ring all-gather: all ranks together send 2 (n-1) S bytes,
//                a rank about 2 (n-1)/n S (exactly: all chunks but one, twice)
//   all-gather   ring: every rank sends n-1 blocks, (n-1)/n of the total
//   broadcast    pipelined chain root, root+1, ...: every rank but the last sends S; (n-1)/n S each
//   on
//                average, the least that can be
// Rank r sends to its right neighbour in the communicator's order, so `inter_node` is `sent` where
// that neighbour lives on another node, else 0.
#pragma once
#include <vector>

#include "distributed/ledger.h"

namespace ab {

// First element of ring chunk c when `elements` are cut into n chunks: sizes differ by at most one,
// the longer ones first.
int64_t chunk_begin(int64_t elements, int n, int c);

// `nodes[i]` is the node of the communicator's rank i.
LedgerEntry cost_of(Collective collective, int64_t elements, DType dtype, int rank, int root,
                    const std::vector<int>& nodes);

}  // namespace ab
