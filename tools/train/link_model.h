// Links: how long a collective takes, by the latency-bandwidth (alpha-beta) model.
// Ranks form one ring in the communicator's order (distributed/traffic.h); a ring moves in lockstep
// at the pace of its slowest hop, of latency alpha and B bytes per second. With S bytes of payload
// and n ranks:
//   all-reduce  2 (n-1) alpha + 2 (n-1)/n S/B   reduce-scatter and all-gather
//   all-gather    (n-1) alpha +   (n-1)   S/B   S: one rank's block
//   broadcast     (n-1) alpha +           S/B   pipelined chain
// The bandwidth terms are the least that any algorithm needs (nccl-tests, PERFORMANCE.md); the
// latency terms are the ring's, and a tree would have log2(n) of them. Over MPI abtrain runs these
// rings; NCCL chooses its algorithm by itself, so on a GPU this is an assumption.
#pragma once
#include "distributed/ledger.h"
#include "tools/train/traffic_plan.h"

namespace ab {

struct Link {
  double bytes_per_s = 0.0, latency_s = 0.0;
};

// between: one node's link, each direction, shared by all rings that leave the node; inside: one
// rank's link to the next rank of its node.
struct Links {
  Link between, inside;
};

// A ring of `ranks` ranks and its slowest hop.
struct Ring {
  int ranks = 1;
  Link hop;
};

// The slowest of the rings of `ranks` neighbouring ranks that the world is cut into.
Ring ring_of(const WorldLayout& layout, int ranks, const Links& links);

// Seconds that `calls` collectives with `payload_bytes` in all take; 0 on one rank.
double collective_seconds(Collective collective, int64_t calls, int64_t payload_bytes,
                          const Ring& ring);

}  // namespace ab
