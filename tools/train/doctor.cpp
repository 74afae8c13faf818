// What this build holds and what this machine offers. Everything vendor-specific is asked of the
// seams; here are the operating system, the launcher and the judgement.
#include "tools/train/doctor.h"

#include <link.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "distributed/communicator.h"
#include "distributed/groups.h"
#include "distributed/launch.h"
#include "engine/device.h"
#include "tools/train/options.h"

namespace ab {
namespace {

// "model name : X" of /proc/cpuinfo or "MemAvailable: X" of /proc/meminfo; empty when absent.
std::string proc_value(const char* file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    if (line.rfind(name, 0) != 0 || colon == std::string::npos) continue;
    const size_t first = line.find_first_not_of(" \t", colon + 1);
    return first == std::string::npos ? "" : line.substr(first);
  }
  return "";
}

// The instruction sets that decide the speed of the host device, widest first.
Json instruction_sets() {
  std::istringstream words(proc_value("/proc/cpuinfo", "flags") + " " +
                           proc_value("/proc/cpuinfo", "Features"));
  std::string flags = " ";
  for (std::string word; words >> word;) flags.append(word).append(" ");
  Json found = Json::array();
  for (const char* name :
       {"amx_bf16", "avx512_bf16", "avx512f", "avx2", "fma", "sve", "bf16", "asimd"})
    if (flags.find(std::string(" ").append(name).append(" ")) != std::string::npos)
      found.push_back(name);
  return found;
}

void problem(Json& problems, const std::string& what, const std::string& mend) {
  problems.push_back({{"what", what}, {"mend", mend}});
}

// The file of a shared library that this process has loaded, with its full version: links are
// followed, so that libdnnl.so.2 reads libdnnl.so.2.6. Null when it is not loaded.
Json loaded_library(const char* stem) {
  struct Search {
    std::string stem, path;
  } search{std::string("/").append(stem), ""};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto& wanted = *static_cast<Search*>(data);
        const std::string name = info->dlpi_name;
        if (name.find(wanted.stem) == std::string::npos) return 0;
        wanted.path = name;
        return 1;
      },
      &search);
  if (search.path.empty()) return nullptr;
  std::error_code error;
  const auto real = std::filesystem::canonical(search.path, error);
  return error ? search.path : real.string();
}

Json host_device(Json& problems) {
  const std::string memory = proc_value("/proc/meminfo", "MemAvailable");
  Json device = {{"kind", "host"},
                 {"cpu", proc_value("/proc/cpuinfo", "model name")},
                 {"cores", default_threads(1)},
                 {"cores_online", sysconf(_SC_NPROCESSORS_ONLN)},
                 {"isa", instruction_sets()},
                 {"onednn", loaded_library("libdnnl.so")},
                 {"lapack", loaded_library("liblapack.so")},
                 {"blas", loaded_library("libblas.so")},
                 {"memory_available_bytes", std::strtoll(memory.c_str(), nullptr, 10) * 1024}};
  try {
    device["description"] = Device::create(DeviceKind::kHost)->description();
  } catch (const std::exception& error) {
    device["description"] = nullptr;
    problem(problems, std::string("the host device does not start: ") + error.what(),
            "reinstall libdnnl and liblapacke, or build anew");
  }
  return device;
}

// Empty when there is a device.
std::string why_no_cuda() {
  try {
    Device::create(DeviceKind::kCuda);
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

// Null where this build has no such device and the machine shows none.
Json cuda_device(Json& problems) {
  const bool gpu_here = access("/proc/driver/nvidia/version", R_OK) == 0;
  try {
    return {{"kind", "cuda"}, {"description", Device::create(DeviceKind::kCuda)->description()}};
  } catch (const std::exception& error) {
    if (gpu_here)
      problem(problems, std::string("this machine has an NVIDIA driver, but: ") + error.what(),
              "build where nvcc is found (CUDA toolkit 13), and compare the driver's version");
    return nullptr;
  }
}

Json slurm_environment() {
  Json found = Json::object();
  for (const char* name :
       {"SLURM_JOB_ID", "SLURM_JOB_PARTITION", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS",
        "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID",
        "SLURM_CPUS_PER_TASK", "SLURM_MPI_TYPE", "SLURM_JOB_END_TIME"})
    if (const char* value = std::getenv(name)) found[name] = value;
  return found.empty() ? Json() : found;
}

// Lets the ranks find one another, where that can work, and tells what MPI says.
void find_world(const LaunchInfo& info, Json& state, Json& problems) {
  const char* mend = "see Ranks in docs/running.md";
  if (const auto wrong = launch_problem(info, mpi_library(), 0); !wrong.empty())
    return problem(problems, wrong, mend);
  try {
    int cores = 1;
    const auto world = mpi_world({60.0}, &cores);
    const auto& nodes = world->nodes();
    state["node_of_rank"] = nodes;
    state["threads_per_rank"] = cores;
    const auto on_first = std::count(nodes.begin(), nodes.end(), nodes[0]);
    if (!groups_stay_on_nodes(nodes, static_cast<int>(on_first)))
      problem(problems, "the ranks of a node do not follow one another, so no group is a node",
              "mpirun --map-by slot, srun --distribution=block, equally many ranks on each node");
  } catch (const std::exception& error) {
    problem(problems, error.what(), mend);
  }
}

Json mpi_state(Json& problems) {
  const LaunchInfo info = read_launch_environment();
  const char* threads = std::getenv("OMP_NUM_THREADS");
  const int cores = default_threads(1);
  if (threads && std::strtol(threads, nullptr, 10) > cores)
    problem(problems,
            "OMP_NUM_THREADS is " + std::string(threads) + ", but this process may use " +
                std::to_string(cores) + " cores",
            "unset it, or bind more cores to a rank (mpirun --map-by slot:PE=N, srun -c N)");
  Json state = {{"library", loaded_library("libmpi.so")},
                {"version", mpi_library()},
                {"launcher", info.launcher}};
  if (info.launcher == "none") return state;
  state["pmi"] = info.pmi;
  state["rank"] = info.rank;
  state["world"] = info.world;
  state["local_rank"] = info.local_rank;
  state["local_size"] = info.local_size;
  state["node"] = info.node;
  state["nodes"] = info.nodes;
  state["host"] = info.host;
  find_world(info, state, problems);
  return state;
}

void check_machine(const Json& host, Json& problems) {
  bool wide = false;
  for (const Json& name : host["isa"])
    wide |= name == "avx2" || name == "asimd" || name == "avx512f";
  if (!wide)
    problem(problems, "this CPU has neither AVX2 nor Advanced SIMD",
            "training will be slow here; choose another node");
  constexpr int64_t kLittleMemory = int64_t{2} << 30;
  if (const auto bytes = host["memory_available_bytes"].get<int64_t>();
      bytes > 0 && bytes < kLittleMemory)
    problem(problems, "only " + std::to_string(bytes >> 20) + " MiB of memory are available",
            "close other programs, or lower data.local_batch");
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 256)
    problem(problems, "only " + std::to_string(files.rlim_cur) + " files may be open at once",
            "ulimit -n 1024");
  struct statvfs disk {};
  if (statvfs(".", &disk) == 0 && disk.f_bavail * disk.f_frsize < (uint64_t{1} << 30))
    problem(problems, "less than 1 GiB is free on this folder's disk, where runs/ would be made",
            "choose another place with --out");
}

std::string value_text(const Json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return value.get<std::string>();
  std::string text;
  if (value.is_array()) {
    for (const Json& item : value) text.append(text.empty() ? "" : " ").append(value_text(item));
    return text;
  }
  if (!value.is_object()) return value.dump();
  for (const auto& [name, item] : value.items())
    text += (text.empty() ? "" : ", ") + name + " " + value_text(item);
  return text;
}

}  // namespace

Json doctor_report() {
  Json problems = Json::array();
  Json devices = Json::array({host_device(problems)});
  if (Json cuda = cuda_device(problems); !cuda.is_null()) devices.push_back(cuda);
  check_machine(devices[0], problems);
  Json report = {{"version", version_number()}, {"commit", version_commit()}};
  report["devices"] = devices;
  report["mpi"] = mpi_state(problems);
  report["nccl"] = loaded_library("libnccl.so");
  report["slurm"] = slurm_environment();
  report["problems"] = problems;
  return report;
}

std::string doctor_text(const Json& report) {
  std::string text = version_text() + "\n";
  bool cuda = false;
  for (const Json& device : report["devices"]) {
    cuda |= device["kind"] == "cuda";
    text +=
        "device " + value_text(device["kind"]) + ": " + value_text(device["description"]) + "\n";
    for (const auto& [name, value] : device.items())
      if (name != "kind" && name != "description")
        text += "  " + name + " " + value_text(value) + "\n";
  }
  if (!cuda) {
    const std::string title = "device cuda: ", why = why_no_cuda();
    text += (why.rfind(title, 0) == 0 ? "" : title) + why + "\n";
  }
  text += "mpi: " + value_text(report["mpi"]) + "\nnccl: " + value_text(report["nccl"]) +
          "\nslurm: " + value_text(report["slurm"]) + "\n";
  if (report["problems"].empty()) return text + "no problems found\n";
  for (const Json& item : report["problems"])
    text += "problem: " + value_text(item["what"]) + "\n  mend: " + value_text(item["mend"]) + "\n";
  return text;
}

}  // namespace ab
