// Adds up what all ranks of a world send, collective by collective, for the traffic plan.
#pragma once
#include <map>
#include <vector>

#include "distributed/ledger.h"
#include "tools/train/traffic_plan.h"

namespace ab {

class TrafficSum {
 public:
  TrafficSum(const WorldLayout& layout, int group_size);

  Phase phase = Phase::kStart;
  bool in_groups = false;  // the following collectives run in every group at once

  // That take part in one collective.
  int ranks() const { return in_groups ? group_size_ : static_cast<int>(nodes_.size()); }

  void add(Collective collective, Purpose purpose, DType dtype, int64_t elements, int64_t calls,
           int root = 0);
  // All-reduces in the groups that train A (or B) only.
  void add_half(bool a, Purpose purpose, DType dtype, int64_t elements, int64_t calls);

  // Of all ranks; of rank 0.
  std::map<LedgerKey, LedgerEntry> entries, first_rank;
  const std::vector<int>& nodes() const { return nodes_; }

 private:
  void add_in(int first, int n, Collective collective, Purpose purpose, DType dtype,
              int64_t elements, int64_t calls, int root);

  int group_size_;
  std::vector<int> nodes_;
};

}  // namespace ab
