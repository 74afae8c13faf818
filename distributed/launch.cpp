#include "distributed/launch.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace ab {
namespace {

// The number in environment variable `name`, or `otherwise` where it is absent or no number.
int number(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  if (!text || !*text) return otherwise;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  return *end == '\0' ? static_cast<int>(value) : otherwise;
}

bool present(const char* name) {
  return std::getenv(name) != nullptr;
}

// Launchers of MPI tell no node numbers: assume ranks fill nodes in order (the communicator
// measures).
void guess_nodes(LaunchInfo& info) {
  info.local_size = std::max(info.local_size, 1);
  info.node = (info.rank - info.local_rank) / info.local_size;
  info.nodes = (info.world + info.local_size - 1) / info.local_size;
}

void read_mpirun(LaunchInfo& info) {
  info.launcher = "mpirun";
  if (present("OMPI_COMM_WORLD_SIZE")) {
    info.rank = number("OMPI_COMM_WORLD_RANK", 0);
    info.world = number("OMPI_COMM_WORLD_SIZE", 1);
    info.local_rank = number("OMPI_COMM_WORLD_LOCAL_RANK", 0);
    info.local_size = number("OMPI_COMM_WORLD_LOCAL_SIZE", 1);
  } else {
    info.rank = number("PMI_RANK", number("PMIX_RANK", 0));
    info.world = number("PMI_SIZE", 1);
    info.local_rank = number("MPI_LOCALRANKID", info.rank);
    info.local_size = number("MPI_LOCALNRANKS", info.world);
  }
  guess_nodes(info);
}

// SLURM_STEP_TASKS_PER_NODE is "4(x2),3": the count on each node, in node order.
int tasks_on_node(const char* text, int node) {
  if (!text) return 0;
  for (int first = 0; *text;) {
    char* end = nullptr;
    const int tasks = static_cast<int>(std::strtol(text, &end, 10));
    int repeat = 1;
    if (end[0] == '(' && end[1] == 'x') {
      repeat = static_cast<int>(std::strtol(end + 2, &end, 10));
      if (*end == ')') ++end;
    }
    first += repeat;
    if (node < first) return tasks;
    if (*end != ',') return 0;
    text = end + 1;
  }
  return 0;
}

void read_slurm(LaunchInfo& info) {
  info.launcher = "srun";
  info.rank = number("SLURM_PROCID", 0);
  info.world = number("SLURM_STEP_NUM_TASKS", number("SLURM_NTASKS", 1));
  info.local_rank = number("SLURM_LOCALID", 0);
  info.node = number("SLURM_NODEID", 0);
  info.nodes = number("SLURM_STEP_NUM_NODES", number("SLURM_NNODES", 1));
  info.local_size = tasks_on_node(std::getenv("SLURM_STEP_TASKS_PER_NODE"), info.node);
  if (info.local_size < 1) info.local_size = std::max(1, info.world / std::max(1, info.nodes));
}

}  // namespace

LaunchInfo read_launch_environment() {
  LaunchInfo info;
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) == 0) info.host = host;
  // A batch script has SLURM_PROCID and SLURM_NTASKS too; only a step of srun has SLURM_STEP_*.
  const bool step = present("SLURM_PROCID") &&
                    (present("SLURM_STEP_NUM_TASKS") || present("SLURM_STEP_NODELIST"));
  if (present("OMPI_COMM_WORLD_SIZE") || (!step && present("PMI_RANK") && present("PMI_SIZE")))
    read_mpirun(info);
  else if (step && number("SLURM_STEP_NUM_TASKS", number("SLURM_NTASKS", 1)) > 1)
    read_slurm(info);
  info.pmi = present("PMIX_RANK") ? "pmix" : present("PMI_FD") ? "pmi2" : "none";
  if (info.pmi == "none" && present("PMI_RANK")) info.pmi = "pmi";
  return info;
}

std::string launch_problem(const LaunchInfo& info, const std::string& mpi_library, int found) {
  const std::string started = info.launcher + " started " + std::to_string(info.world) + " tasks, ";
  const char* list = " (srun --mpi=list names what this Slurm offers), or mpirun in the allocation";
  if (info.world < 2 || found == info.world) return "";
  if (found > 0)
    return started + "but MPI (" + mpi_library + ") finds a world of " + std::to_string(found) +
           ": launcher and program use different MPIs; start with the mpirun of that MPI, or "
           "with " +
           "srun and the PMI flavour it speaks, srun --mpi=pmix or --mpi=pmi2" + list;
  if (info.launcher != "srun" || info.pmi == "pmix" ||
      mpi_library.find("Open MPI") == std::string::npos)
    return "";
  return started + "which Open MPI joins through PMIx alone, but the PMI flavour is \"" + info.pmi +
         "\": each task would be a run of its own; start with srun --mpi=pmix" + list;
}

int share_of_cores(const std::vector<cpu_set_t>& masks, size_t mine) {
  double share = 1e-9;  // thirds must add up
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &masks[mine])) continue;
    const auto sharers = std::count_if(masks.begin(), masks.end(), [core](const cpu_set_t& mask) {
      return CPU_ISSET(core, &mask);
    });
    share += 1.0 / static_cast<double>(sharers);
  }
  return std::max(1, std::min(static_cast<int>(share), number("SLURM_CPUS_PER_TASK", CPU_SETSIZE)));
}

int default_threads(int ranks_in_this_process) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  int count = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) count = share_of_cores({cores}, 0);
  return std::max(1, count / std::max(1, ranks_in_this_process));
}

// A name in Linux's abstract socket space can be bound once, and is free again when its owner ends.
static sockaddr_un word_of_this_node() {
  const char* job = std::getenv("PMIX_NAMESPACE");
  if (!job) job = std::getenv("SLURM_JOB_ID");
  const char* step = std::getenv("SLURM_STEP_ID");
  // Launchers that tell no job are the parent of all ranks of a node.
  const std::string name =
      "abtrain-" + std::to_string(getuid()) + "-" +
      (job ? std::string(job) + "." + (step ? step : "") : std::to_string(getppid()));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  return address;
}

bool claim_the_word() {
  if (read_launch_environment().world < 2) return true;
  const sockaddr_un address = word_of_this_node();
  const int handle = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (handle < 0) return true;
  const bool taken =
      bind(handle, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno == EADDRINUSE;
  if (taken) close(handle);
  return !taken;  // an owner keeps its handle until it ends
}

bool word_is_claimed() {
  const sockaddr_un address = word_of_this_node();
  const int handle = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (handle < 0) return false;
  const bool claimed =
      connect(handle, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(handle);
  return claimed;
}

}  // namespace ab
