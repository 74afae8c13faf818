#include "distributed/traffic.h"

#include <algorithm>

namespace ab {
namespace {

int64_t chunk_size(int64_t elements, int n, int c) {
  return chunk_begin(elements, n, c + 1) - chunk_begin(elements, n, c);
}

// Elements that `rank` hands to its right neighbour.
int64_t sent_elements(Collective collective, int64_t elements, int n, int rank, int root) {
  switch (collective) {
    case Collective::kAllReduce:
      // Reduce-scatter keeps chunk `rank` back, all-gather the right neighbour's (ring_plan.h).
      return 2 * elements - chunk_size(elements, n, rank) - chunk_size(elements, n, (rank + 1) % n);
    case Collective::kAllGather:
      return (n - 1) * elements;
    case Collective::kBroadcast:
      return (rank + 1) % n == root ? 0 : elements;
  }
  return 0;
}

}  // namespace

int64_t chunk_begin(int64_t elements, int n, int c) {
  return elements / n * c + std::min<int64_t>(c, elements % n);
}

LedgerEntry cost_of(Collective collective, int64_t elements, DType dtype, int rank, int root,
                    const std::vector<int>& nodes) {
  const int n = static_cast<int>(nodes.size());
  const int64_t bytes = static_cast<int64_t>(size_of(dtype));
  LedgerEntry entry;
  entry.calls = 1;
  entry.elements = elements;
  entry.payload_bytes = elements * bytes;
  entry.sent_bytes = sent_elements(collective, elements, n, rank, root) * bytes;
  entry.inter_node_bytes = nodes[(rank + 1) % n] == nodes[rank] ? 0 : entry.sent_bytes;
  return entry;
}

}  // namespace ab
