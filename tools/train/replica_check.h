// ReplicaCheck: ranks that should hold the same weights are compared by hash (kernels/checksum.h).
//   whole       over the world, at the start and after every border
//   together    over the ranks that average gradients in this phase, every train.check_every steps;
//               in a group phase that is the group, and nothing crosses groups
//   before_merge  every group on its own, and the frozen factors over the world: all groups that
//               train A must still hold the B of the decomposition, and the other way round
// A check costs one int64 from every rank (purpose hash). Only when ranks differ the hashes of all
// tensors follow, to name the first that differs and the ranks that differ from most.
#pragma once
#include <vector>

#include "distributed/communicator.h"
#include "tools/train/replica.h"

namespace ab {

struct GroupPlace {
  Communicator* communicator = nullptr;  // the group; for ab-nogroups the world
  int index = 0, count = 1;
  bool trains_a = false;  // else B; ab-nogroups: everybody trains B
};

class ReplicaCheck {
 public:
  ReplicaCheck(const Config& config, Replica& replica, Communicator& world,
               const GroupPlace& place);

  // Throws CommunicationError on every rank when ranks differ. when: "after merging".
  void whole(const std::string& when);
  void together(Communicator& communicator, const std::string& when);
  void before_merge();

 private:
  using Parameters = std::vector<const Parameter*>;
  Parameters everything(bool statistics) const;
  Parameters factorable() const;
  // side: only ranks of the same side have to agree.
  void compare(Communicator& communicator, const Parameters& parameters, const std::string& when,
               const std::vector<int>& side);

  const Config& config_;
  Replica& replica_;
  Communicator& world_;
  GroupPlace place_;
};

}  // namespace ab
