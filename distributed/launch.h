// Where this process stands: rank, world, local rank, node, host, as the launcher told it.
// MPI (Open MPI's variables), then Slurm (SLURM_PROCID, ...), else one rank alone.
#pragma once
#include <string>

namespace ab {

struct LaunchInfo {
  std::string launcher = "none";  // "mpirun", "srun", "none"
  int rank = 0, world = 1, local_rank = 0, local_size = 1, node = 0, nodes = 1;
  std::string host;
};

LaunchInfo read_launch_environment();
// Cores this process may run on, divided by the ranks that share them; at least one.
int default_threads(int ranks_on_this_node);
// True for the first process of this job on this node that asks, false for all later ones: who may
// tell an error that all ranks meet. Alone, always true.
bool claim_the_word();

}  // namespace ab
