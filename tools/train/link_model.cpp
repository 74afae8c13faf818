#include "tools/train/link_model.h"

#include <algorithm>

namespace ab {

Ring ring_of(const WorldLayout& layout, int ranks, const Links& links) {
  const auto node_of = [&](int rank) { return rank / layout.ranks_per_node; };
  int most_leaving = 0, leaving = 0;  // hops of rings from one node to another
  bool inside = false;
  for (int rank = 0; rank < layout.world; ++rank) {
    const int first = rank / ranks * ranks;
    const int next = rank + 1 < first + ranks ? rank + 1 : first;
    if (rank % layout.ranks_per_node == 0) leaving = 0;
    if (node_of(next) != node_of(rank))
      most_leaving = std::max(most_leaving, ++leaving);
    else
      inside = inside || next != rank;
  }
  Ring ring{ranks, {}};
  if (most_leaving > 0)
    ring.hop = {links.between.bytes_per_s / most_leaving, links.between.latency_s};
  if (inside && (most_leaving == 0 || links.inside.bytes_per_s < ring.hop.bytes_per_s))
    ring.hop.bytes_per_s = links.inside.bytes_per_s;
  if (inside) ring.hop.latency_s = std::max(ring.hop.latency_s, links.inside.latency_s);
  return ring;
}

double collective_seconds(Collective collective, int64_t calls, int64_t payload_bytes,
                          const Ring& ring) {
  if (ring.ranks == 1) return 0.0;
  const double n = ring.ranks, hops = n - 1.0;
  const double latency = static_cast<double>(calls) * hops * ring.hop.latency_s;
  const double transfer = static_cast<double>(payload_bytes) / ring.hop.bytes_per_s;
  switch (collective) {
    case Collective::kAllReduce:
      return 2.0 * (latency + hops / n * transfer);
    case Collective::kAllGather:
      return latency + hops * transfer;
    case Collective::kBroadcast:
      return latency + transfer;
  }
  return 0.0;
}

}  // namespace ab
