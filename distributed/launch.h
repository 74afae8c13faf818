// Where this process stands: rank, world, local rank, node, host, as the launcher told it.
// MPI (Open MPI's variables), then Slurm (SLURM_PROCID, ...), else one rank alone.
#pragma once
#include <sched.h>

#include <string>
#include <vector>

namespace ab {

struct LaunchInfo {
  std::string launcher = "none";  // "mpirun", "srun", "none"
  int rank = 0, world = 1, local_rank = 0, local_size = 1, node = 0, nodes = 1;
  std::string host;
  std::string pmi = "none";  // how the ranks of an MPI find one another: pmix, pmi2, pmi, none
};

LaunchInfo read_launch_environment();
// Why the tasks of this launch are no world of MPI ranks, and what to type instead; empty when all
// is well. mpi_library: its name and version; found: ranks that MPI found, 0 before it was started.
std::string launch_problem(const LaunchInfo& info, const std::string& mpi_library, int found);
// Cores this process may use (its affinity mask, at most SLURM_CPUS_PER_TASK), divided by the ranks
// that are its threads; at least one.
int default_threads(int ranks_in_this_process);
// The same for rank `mine` of those on one node, each with the affinity mask masks[i]: a core that
// several masks hold is shared by them, so that neither bound nor free ranks crowd a core.
int share_of_cores(const std::vector<cpu_set_t>& masks, size_t mine);
// True for the first process of this job on this node that asks, false for all later ones: who may
// tell an error that all ranks meet. Alone, always true.
bool claim_the_word();
// Whether a process of this job on this node has claimed it and still runs.
bool word_is_claimed();

}  // namespace ab
