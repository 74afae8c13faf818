// Ring plan: what one rank receives from its left and sends to its right neighbour, segment by
// segment. All three collectives are one chain of blocks c0, c1, ..., cL: c0..c(L-1) are sent,
// c1..cL received, and a block is passed on as soon as it has arrived (and, in a reduction, been
// summed).
//   all-reduce  c_i = rank-1-i (mod n), L = 2n-2; the first n-1 arrivals are summed, the rest
//   replace.
//               Chunk c is therefore x[c+1] + x[c+2] + ... + x[c], summed from the left.
//   all-gather  c_i = rank-i, L = n-1
//   broadcast   the whole array, along root, root+1, ...
// Pure: the bytes of a plan are the bytes cost_of() books (tests prove it).
#pragma once
#include <vector>

#include "distributed/ledger.h"

namespace ab {

struct RingSegment {
  int64_t offset = 0, bytes = 0;  // in the collective's array
  bool sum = false;               // arrivals: add to what is there
  // Sends: how many arrivals must have been taken in before. Arrivals: how many sends must have
  // left before the memory may be overwritten.
  int64_t needs = 0;
};

struct RingPlan {
  std::vector<RingSegment> arrivals, sends;
};

RingPlan plan_ring(Collective collective, int64_t elements, DType dtype, int rank, int size,
                   int root, int64_t segment_bytes);

// into[i] <- into[i] + from[i]; bf16 is summed in float and rounded once.
void sum_into(DType dtype, void* into, const void* from, int64_t elements);
bool can_sum(DType dtype);

}  // namespace ab
