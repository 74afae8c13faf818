// NCCL's stand-in: ranks are threads of one process that share a Clique per communicator. A
// collective waits at its call until every rank has come, or for the collective timeout; the last
// rank that comes carries it out for all. NCCL itself returns earlier, but ranks that start their
// collectives in different orders are as wrong there as they are slow here.
// Communicators that are not blocking answer ncclInProgress, and so does their state the first
// time it is asked for; until it is ncclSuccess no other call on them is legal.
#pragma once
#include <nccl.h>

#include <condition_variable>
#include <map>
#include <memory>

#include "tests/standin/handles.h"
#include "tests/standin/streams.h"

namespace ab::standin {

struct CollectiveArguments {
  std::string kind;
  size_t count = 0;
  ncclDataType_t type = ncclFloat32;
  ncclRedOp_t operation = ncclSum;
  int root = 0;
  const void* from = nullptr;
  void* to = nullptr;
  cudaStream_t stream = nullptr;
  bool in_graph = false;  // a launch of a captured one, which it has to be on all ranks

  // What all ranks must agree on.
  std::string signature() const;
};

// One collective or split of a clique, by its number.
struct Round {
  std::map<int, CollectiveArguments> ranks;
  std::map<int, std::pair<int, int>> colors;  // of a split: color and key
  std::map<int, std::pair<std::shared_ptr<struct Clique>, int>> children;  // clique and rank there
  bool done = false;
  std::string fault;
};

struct Clique {
  explicit Clique(int ranks, std::string called) : size(ranks), name(std::move(called)) {}

  const int size;
  std::string name;
  std::map<int, int> devices;  // of the ranks that have joined
  std::map<int64_t, Round> rounds;
  std::string broken;  // why no rank can go on
};

std::mutex& collective_mutex();
std::condition_variable& collective_change();
double collective_timeout();

// With collective_mutex() held by `lock`.
void break_clique(Clique& clique, const std::string& why);
// Waits for `ready` or the timeout; false when time ran out.
template <class F>
bool wait_for(std::unique_lock<std::mutex>& lock, F ready) {
  return collective_change().wait_for(lock, std::chrono::duration<double>(collective_timeout()),
                                      ready);
}

// Carries a collective out on the memory of all ranks; all have come and agree.
void carry_out(const std::map<int, CollectiveArguments>& ranks);

}  // namespace ab::standin

// The vendor's handle type, ours to define.
struct ncclComm {
  std::shared_ptr<ab::standin::Clique> clique;
  int rank = 0, device = 0;
  bool blocking = true;
  int64_t turn = 0;      // the next collective's or split's number
  bool joining = false;  // waits for the others of its clique
  int unasked = 0;       // answers "in progress" that are still to come
  bool finalized = false;
  ncclResult_t error = ncclSuccess;
  std::chrono::steady_clock::time_point since;
  // A split whose other ranks have not come: filled when they have.
  struct Split {
    std::shared_ptr<ab::standin::Clique> parent;
    int64_t turn = 0;
    int rank = 0;
  };
  std::unique_ptr<Split> split;
  std::string name;  // commName, for faults
};

namespace ab::standin {

struct GroupedCall {
  ncclComm* comm;
  CollectiveArguments arguments;
};

// Posts calls and waits for all of them, in order; on a stream that is being captured they are
// kept.
ncclResult_t run_collectives(const std::vector<GroupedCall>& calls);
Handles<ncclComm>& communicators();
// ncclSuccess when a new call may be made on the communicator.
ncclResult_t ready_for_call(ncclComm* comm, const char* function);
// Advances what waits for other ranks; never blocks.
void advance(ncclComm& comm);

}  // namespace ab::standin
