#include "tools/train/traffic_sum.h"

#include "distributed/groups.h"
#include "distributed/traffic.h"

namespace ab {

TrafficSum::TrafficSum(const WorldLayout& layout, int group_size) : group_size_(group_size) {
  for (int rank = 0; rank < layout.world; ++rank) nodes_.push_back(rank / layout.ranks_per_node);
}

void TrafficSum::add(Collective collective, Purpose purpose, DType dtype, int64_t elements,
                     int64_t calls, int root) {
  const int n = ranks();
  for (int first = 0; first < static_cast<int>(nodes_.size()); first += n)
    add_in(first, n, collective, purpose, dtype, elements, calls, root);
}

void TrafficSum::add_half(bool a, Purpose purpose, DType dtype, int64_t elements, int64_t calls) {
  const int n = ranks(), groups = static_cast<int>(nodes_.size()) / n;
  for (int group = 0; group < groups; ++group)
    if (!in_groups || trains_a(group, groups) == a)
      add_in(group * n, n, Collective::kAllReduce, purpose, dtype, elements, calls, 0);
}

void TrafficSum::add_in(int first, int n, Collective collective, Purpose purpose, DType dtype,
                        int64_t elements, int64_t calls, int root) {
  if (calls == 0) return;
  const std::vector<int> nodes(nodes_.begin() + first, nodes_.begin() + first + n);
  const LedgerKey key{phase, in_groups ? "group" : "world", collective, purpose, dtype};
  LedgerEntry& entry = entries[key];
  for (int rank = 0; rank < n; ++rank) {
    LedgerEntry one = cost_of(collective, elements, dtype, rank, root, nodes);
    one = {one.calls * calls, one.elements * calls, one.payload_bytes * calls,
           one.sent_bytes * calls, one.inter_node_bytes * calls};
    entry += one;
    if (first + rank == 0) first_rank[key] += one;
  }
}

}  // namespace ab
