// Runs a program's body on every rank, wherever ranks come from: mpirun or srun, --local-ranks N
// threads of this process, or one rank alone. Ends every rank when one fails, with one line and the
// exit code.
#pragma once
#include <functional>

#include "distributed/communicator.h"

namespace ab {

struct RankPlace {
  int ranks_per_node = 1;
  int local_rank = 0;              // among the ranks of its node: which GPU it takes
  int threads = 1;                 // its share of the node's cores
  bool shares_process = false;     // ranks are threads of one process
  std::vector<std::string> hosts;  // of every rank
};

// local_ranks 0: the launcher's ranks. Returns the exit code, the body's (the same on all ranks) or
// an exception's; never throws. on_failure hears the exit code in the process where a rank failed,
// before the others are ended; what it throws is lost.
int run_on_ranks(int local_ranks, double timeout_s,
                 const std::function<int(Communicator& world, const RankPlace& place)>& body,
                 const std::function<void(int exit_code)>& on_failure = {});

// What needs no ranks (reading the command line, a plan): an exception ends as its exit code and,
// under a launcher that started many of us, still one line.
int run_alone(const std::function<int()>& body);

}  // namespace ab
