// Birth and death of NCCL's communicators: unique ids, initialisation, split, state, abort.
// All ranks of a clique have to come before it is usable; who waits is told "in progress" (or waits
// at the call where the communicator is blocking) and gives up after the collective timeout.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "tests/standin/collectives.h"
#include "tests/standin/memory.h"

namespace ab::standin {
namespace {

// Cliques that are being initialised, by unique id.
std::map<uint64_t, std::shared_ptr<Clique>>& meetings() {
  static auto* const all = new std::map<uint64_t, std::shared_ptr<Clique>>;
  return *all;
}

bool config_is_legal(const ncclConfig_t* config) {
  if (!config) return true;
  const ncclConfig_t fresh = NCCL_CONFIG_INITIALIZER;
  if (config->magic == fresh.magic && config->size == fresh.size) return true;
  report("nccl: the configuration was not set up with NCCL_CONFIG_INITIALIZER");
  return false;
}

ncclComm* make_comm(const ncclConfig_t* config) {
  ncclComm* const comm = communicators().create();
  comm->blocking = !config || config->blocking != 0;
  comm->device = current_device();
  comm->name = config && config->commName ? config->commName : "";
  comm->joining = true;
  comm->unasked = 1;
  comm->since = std::chrono::steady_clock::now();
  return comm;
}

bool overdue(const ncclComm& comm) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - comm.since).count() >
         collective_timeout();
}

// With the lock held: this rank joins `clique`; a fault when it cannot.
void join(ncclComm& comm, Clique& clique) {
  for (const auto& [rank, device] : clique.devices) {
    if (rank == comm.rank)
      break_clique(clique, "rank " + std::to_string(rank) + " of " + clique.name + " came twice");
    else if (device == comm.device)
      break_clique(clique, "ranks " + std::to_string(rank) + " and " + std::to_string(comm.rank) +
                               " of " + clique.name + " share device " + std::to_string(device));
  }
  clique.devices[comm.rank] = comm.device;
  collective_change().notify_all();
}

// The last rank of a split sorts all ranks into cliques by color, in order of key and rank.
void settle_split(Round& round, const std::string& name) {
  std::map<int, std::vector<std::pair<int, int>>> members;
  for (const auto& [rank, color_key] : round.colors)
    if (color_key.first >= 0) members[color_key.first].push_back({color_key.second, rank});
  for (auto& [color, list] : members) {
    std::sort(list.begin(), list.end());
    const auto child = std::make_shared<Clique>(static_cast<int>(list.size()),
                                                name + " color " + std::to_string(color));
    for (size_t i = 0; i < list.size(); ++i)
      round.children[list[i].second] = {child, static_cast<int>(i)};
  }
  round.done = true;
  collective_change().notify_all();
}

void advance_split(ncclComm& comm) {
  Clique& parent = *comm.split->parent;
  Round& round = parent.rounds[comm.split->turn];
  if (round.done) {
    std::tie(comm.clique, comm.rank) = round.children.at(comm.split->rank);
    comm.split.reset();
    if (!comm.name.empty()) comm.clique->name = comm.name;
    join(comm, *comm.clique);
  } else if (!parent.broken.empty()) {
    comm.error = ncclRemoteError;
  } else if (overdue(comm)) {
    break_clique(parent, "split " + std::to_string(comm.split->turn) + " of " + parent.name + ": " +
                             std::to_string(round.colors.size()) + " of " +
                             std::to_string(parent.size) + " ranks came");
  }
}

// Blocking communicators wait here until all ranks have joined.
ncclResult_t settle(ncclComm& comm) {
  if (!comm.blocking) return ncclInProgress;
  std::unique_lock lock(collective_mutex());
  while (comm.joining && comm.error == ncclSuccess) {
    advance(comm);
    collective_change().wait_for(lock, std::chrono::milliseconds(5));
  }
  comm.unasked = 0;
  return comm.error;
}

ncclResult_t bury(ncclComm_t comm, const char* function, bool aborted) {
  if (!communicators().find(comm, function)) return ncclInvalidArgument;
  std::lock_guard lock(collective_mutex());
  if (!aborted && !comm->blocking && !comm->finalized) {
    report(std::string(function) + ": a communicator that is not blocking is finalized first");
    return ncclInvalidUsage;
  }
  if (comm->clique && aborted && comm->clique->broken.empty()) {
    comm->clique->broken = "rank " + std::to_string(comm->rank) + " aborted " + comm->clique->name;
    collective_change().notify_all();
  }
  communicators().destroy(comm, function);
  return ncclSuccess;
}

}  // namespace

Handles<ncclComm>& communicators() {
  static auto* const all = new Handles<ncclComm>("an NCCL communicator");
  return *all;
}

void advance(ncclComm& comm) {
  if (comm.joining && comm.split) advance_split(comm);
  if (!comm.joining || comm.split || comm.error != ncclSuccess) return;
  Clique& clique = *comm.clique;
  if (clique.broken.empty() && static_cast<int>(clique.devices.size()) < clique.size &&
      overdue(comm))
    break_clique(clique, "initialisation of " + clique.name + ": " +
                             std::to_string(clique.devices.size()) + " of " +
                             std::to_string(clique.size) + " ranks came");
  if (!clique.broken.empty()) comm.error = ncclRemoteError;
  if (static_cast<int>(clique.devices.size()) == clique.size) comm.joining = false;
}

ncclResult_t ready_for_call(ncclComm* comm, const char* function) {
  if (!communicators().find(comm, function)) return ncclInvalidArgument;
  std::lock_guard lock(collective_mutex());
  if (comm->error != ncclSuccess) return comm->error;
  if (comm->finalized) {
    report(std::string(function) + ": the communicator was finalized");
    return ncclInvalidUsage;
  }
  if (comm->joining || comm->unasked > 0) {
    report(std::string(function) +
           ": the communicator's last call is in progress; ask ncclCommGetAsyncError until it is "
           "ncclSuccess");
    return ncclInvalidUsage;
  }
  return ncclSuccess;
}

}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (const int code = injected(__func__)) return static_cast<ncclResult_t>(code);
  static std::atomic<uint64_t> next = 1;
  const uint64_t number = next++;
  std::memset(id, 0, sizeof *id);
  std::memcpy(id, &number, sizeof number);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (const int code = injected(__func__)) return static_cast<ncclResult_t>(code);
  uint64_t number = 0;
  std::memcpy(&number, &id, sizeof number);
  if (!comm || ranks < 1 || rank < 0 || rank >= ranks || number == 0 || !config_is_legal(config))
    return ncclInvalidArgument;
  *comm = make_comm(config);
  {
    std::lock_guard lock(collective_mutex());
    auto& clique = meetings()[number];
    if (!clique)
      clique =
          std::make_shared<Clique>(ranks, (*comm)->name.empty() ? "communicator" : (*comm)->name);
    (*comm)->clique = clique;
    (*comm)->rank = rank;
    if (clique->size != ranks)
      break_clique(*clique, "initialisation with " + std::to_string(clique->size) + " and " +
                                std::to_string(ranks) + " ranks");
    join(**comm, *clique);
    if (static_cast<int>(clique->devices.size()) == ranks) meetings().erase(number);
  }
  return settle(**comm);
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* made,
                           ncclConfig_t* config) {
  if (const int code = injected(__func__)) return static_cast<ncclResult_t>(code);
  const ncclResult_t ready = ready_for_call(comm, __func__);
  if (ready != ncclSuccess) return ready;
  if (!made || (color < 0 && color != NCCL_SPLIT_NOCOLOR) || !config_is_legal(config))
    return ncclInvalidArgument;
  const bool belongs = color != NCCL_SPLIT_NOCOLOR;
  *made = belongs ? make_comm(config) : nullptr;
  {
    std::lock_guard lock(collective_mutex());
    Clique& clique = *comm->clique;
    const int64_t turn = comm->turn++;
    Round& round = clique.rounds[turn];
    round.colors[comm->rank] = {belongs ? color : -1, key};
    if (belongs) {
      (*made)->blocking = config ? config->blocking != 0 : comm->blocking;
      (*made)->split.reset(new ncclComm::Split{comm->clique, turn, comm->rank});
    }
    if (!round.ranks.empty())
      break_clique(clique, "split " + std::to_string(turn) + " of " + clique.name +
                               " meets a collective of another rank");
    else if (static_cast<int>(round.colors.size()) == clique.size)
      settle_split(round, clique.name);
    if (!comm->blocking) comm->unasked = 1;
  }
  if (belongs && (*made)->blocking) return settle(**made);
  return comm->blocking ? ncclSuccess : ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  if (!communicators().find(comm, __func__)) return ncclInvalidArgument;
  std::lock_guard lock(collective_mutex());
  advance(*comm);
  if (comm->clique && !comm->clique->broken.empty() && comm->error == ncclSuccess)
    comm->error = ncclRemoteError;
  *state = comm->error;
  if (comm->error != ncclSuccess) return ncclSuccess;
  if (comm->joining || comm->unasked > 0) *state = ncclInProgress;
  comm->unasked = std::max(0, comm->unasked - 1);
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const ncclResult_t ready = ready_for_call(comm, __func__);
  if (ready != ncclSuccess) return ready;
  std::lock_guard lock(collective_mutex());
  comm->finalized = true;
  if (comm->blocking) return ncclSuccess;
  comm->unasked = 1;
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  return bury(comm, __func__, false);
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  return bury(comm, __func__, true);
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int* count) {
  if (!communicators().find(comm, __func__) || !comm->clique) return ncclInvalidArgument;
  *count = comm->clique->size;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    default:
      return "unknown result code";
  }
}

const char* ncclGetLastError(ncclComm_t comm) {
  thread_local std::string text;
  std::lock_guard lock(collective_mutex());
  text = comm && comm->clique ? comm->clique->broken : "";
  if (text.empty()) text = last_fault();
  return text.c_str();
}

}  // extern "C"
