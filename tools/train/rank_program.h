// Runs a program's body on every rank, wherever ranks come from: mpirun or srun, --local-ranks N
// threads of this process, or one rank alone. Ends every rank when one fails, with one line and the
// exit code.
#pragma once
#include <functional>

#include "distributed/communicator.h"

namespace ab {

struct RankPlace {
  int ranks_per_node = 1;
  bool shares_process = false;  // ranks are threads of one process
};

// local_ranks 0: the launcher's ranks. Returns the exit code; never throws.
int run_on_ranks(int local_ranks, double timeout_s,
                 const std::function<void(Communicator& world, const RankPlace& place)>& body);

}  // namespace ab
