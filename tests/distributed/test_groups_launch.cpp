// Groups of ranks, and what launchers say in the environment.
#include <cstdlib>
#include <map>

#include "distributed/groups.h"
#include "distributed/launch.h"
#include "engine/error.h"
#include "tests/catch.h"

namespace ab {
namespace {

std::string message_of(int world, int size) {
  try {
    count_groups(world, size);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "";
}

// Sets launch variables for one scope, all others being absent.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& values) {
    for (const char* name : {"OMPI_COMM_WORLD_RANK",
                             "OMPI_COMM_WORLD_SIZE",
                             "OMPI_COMM_WORLD_LOCAL_RANK",
                             "OMPI_COMM_WORLD_LOCAL_SIZE",
                             "PMI_RANK",
                             "PMI_SIZE",
                             "PMIX_RANK",
                             "MPI_LOCALRANKID",
                             "MPI_LOCALNRANKS",
                             "SLURM_PROCID",
                             "SLURM_NTASKS",
                             "SLURM_STEP_NUM_TASKS",
                             "SLURM_LOCALID",
                             "SLURM_NODEID",
                             "SLURM_NNODES",
                             "SLURM_STEP_NUM_NODES",
                             "SLURM_STEP_TASKS_PER_NODE",
                             "SLURM_STEP_NODELIST",
                             "PMI_FD",
                             "SLURM_CPUS_PER_TASK"}) {
      if (const char* old = std::getenv(name)) before_[name] = old;
      names_.push_back(name);
      unsetenv(name);
    }
    for (const auto& [name, value] : values) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const std::string& name : names_) unsetenv(name.c_str());
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::string> before_;
};

TEST_CASE("groups are contiguous and the smaller half trains A") {
  CHECK(count_groups(8, 4) == 2);
  CHECK(group_of(3, 4) == 0);
  CHECK(group_of(4, 4) == 1);
  CHECK(trains_a(0, 2));
  CHECK_FALSE(trains_a(1, 2));
  // Three groups: one trains A, two train B.
  CHECK(count_groups(6, 2) == 3);
  CHECK(trains_a(0, 3));
  CHECK_FALSE(trains_a(1, 3));
  CHECK_FALSE(trains_a(2, 3));
}

TEST_CASE("group sizes that cannot work say which would") {
  CHECK(message_of(8, 3).find("1, 2, 4 would work") != std::string::npos);
  CHECK(message_of(8, 8).find("1, 2, 4 would work") != std::string::npos);
  CHECK(message_of(8, 0).find("ab.group_size 0 with 8 ranks") != std::string::npos);
  CHECK(message_of(7, 2).find(": the size must divide") != std::string::npos);
  CHECK(message_of(1, 1).find("at least two ranks") != std::string::npos);
  CHECK(message_of(12, 4).empty());
}

TEST_CASE("launch environments") {
  {
    const Environment none({});
    const LaunchInfo info = read_launch_environment();
    CHECK(info.launcher == "none");
    CHECK(info.world == 1);
    CHECK_FALSE(info.host.empty());
  }
  {
    const Environment mpirun({{"OMPI_COMM_WORLD_RANK", "5"},
                              {"OMPI_COMM_WORLD_SIZE", "8"},
                              {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                              {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}});
    const LaunchInfo info = read_launch_environment();
    CHECK(info.launcher == "mpirun");
    CHECK(info.rank == 5);
    CHECK(info.local_rank == 1);
    CHECK(info.node == 1);
    CHECK(info.nodes == 2);
  }
  {
    // Nodes with 4, 4 and 3 tasks; rank 9 is the second of node 2.
    const Environment srun({{"SLURM_PROCID", "9"},
                            {"SLURM_STEP_NUM_TASKS", "11"},
                            {"SLURM_NTASKS", "12"},
                            {"SLURM_LOCALID", "1"},
                            {"SLURM_NODEID", "2"},
                            {"SLURM_STEP_NUM_NODES", "3"},
                            {"SLURM_STEP_TASKS_PER_NODE", "4(x2),3"}});
    const LaunchInfo info = read_launch_environment();
    CHECK(info.launcher == "srun");
    CHECK(info.rank == 9);
    CHECK(info.world == 11);
    CHECK(info.local_size == 3);
    CHECK(info.nodes == 3);
  }
  {
    // A batch script: Slurm's variables, but nothing was started by srun.
    const Environment batch({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}});
    CHECK(read_launch_environment().launcher == "none");
  }
}

TEST_CASE("tasks that MPI cannot join are told with what would work") {
  std::map<std::string, std::string> step = {{"SLURM_PROCID", "1"},
                                             {"SLURM_STEP_NUM_TASKS", "4"},
                                             {"SLURM_STEP_NODELIST", "n1"},
                                             {"SLURM_STEP_TASKS_PER_NODE", "4"}};
  const auto problem = [&](const char* library, int found) {
    const Environment srun(step);
    return launch_problem(read_launch_environment(), library, found);
  };
  const auto names = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  const std::string none = problem("Open MPI v4.1.4", 0);
  CHECK(names(none, "srun started 4 tasks"));
  CHECK(names(none, "flavour is \"none\""));
  CHECK(names(none, "--mpi=pmix"));
  CHECK(problem("MPICH Version: 4.0", 0).empty());  // may have a way of its own
  const std::string alone = problem("MPICH Version: 4.0", 1);
  CHECK(names(alone, "world of 1"));
  CHECK(names(alone, "--mpi=pmi2"));
  step["PMI_FD"] = "11";
  CHECK(names(problem("Open MPI v4.1.4", 0), "flavour is \"pmi2\""));
  step["PMIX_RANK"] = "1";
  CHECK(problem("Open MPI v4.1.4", 0).empty());
  CHECK(problem("Open MPI v4.1.4", 4).empty());
}

TEST_CASE("groups are nodes only where ranks fill the nodes in order") {
  CHECK(groups_stay_on_nodes({0, 0, 1, 1}, 2));
  CHECK(groups_stay_on_nodes({0, 0, 1, 1}, 1));
  CHECK_FALSE(groups_stay_on_nodes({0, 1, 0, 1}, 2));  // dealt round
  CHECK_FALSE(groups_stay_on_nodes({0, 0, 0, 1, 1, 2}, 3));
  CHECK_THROWS_AS(check_nodes_are_groups({0, 1, 0, 1}, 2), ConfigError);
}

TEST_CASE("cores are shared among the ranks whose masks hold them") {
  const auto mask = [](int from, int to) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int core = from; core < to; ++core) CPU_SET(core, &cores);
    return cores;
  };
  const Environment none({});
  // Unbound: four ranks on 16 cores; three ranks on 8 (2.67 each).
  CHECK(share_of_cores(std::vector<cpu_set_t>(4, mask(0, 16)), 2) == 4);
  CHECK(share_of_cores(std::vector<cpu_set_t>(3, mask(0, 8)), 0) == 2);
  CHECK(share_of_cores(std::vector<cpu_set_t>(3, mask(0, 6)), 0) == 2);
  CHECK(share_of_cores(std::vector<cpu_set_t>(8, mask(0, 2)), 7) == 1);
  // Bound to cores of their own: all of them; two ranks to a socket of eight: half of it.
  CHECK(share_of_cores({mask(0, 4), mask(4, 8)}, 1) == 4);
  CHECK(share_of_cores({mask(0, 8), mask(0, 8), mask(8, 16), mask(8, 16)}, 3) == 4);
  const Environment srun(std::map<std::string, std::string>{{"SLURM_CPUS_PER_TASK", "3"}});
  CHECK(share_of_cores({mask(0, 8)}, 0) == 3);
  CHECK(share_of_cores({mask(0, 2)}, 0) == 2);
}

TEST_CASE("threads per rank: the cores shared, at least one") {
  CHECK(default_threads(1) >= 1);
  CHECK(default_threads(1) / 2 == (default_threads(1) > 1 ? default_threads(2) : 0));
  CHECK(default_threads(1000000) == 1);
}

}  // namespace
}  // namespace ab
