// Collectives of NCCL's stand-in: meeting, agreement, arithmetic (collectives.h).
#include "tests/standin/collectives.h"

#include <algorithm>
#include <cstring>

#include "kernels/numbers.h"
#include "tests/standin/memory.h"

namespace ab::standin {
namespace {

double timeout_seconds = 30.0;
double collective_seconds = 0.0;
thread_local int group_depth = 0;
thread_local std::vector<GroupedCall> grouped;

size_t element_bytes(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclBfloat16:
      return 2;
    case ncclFloat32:
    case ncclInt32:
      return 4;
    case ncclFloat64:
    case ncclInt64:
      return 8;
    default:
      return 0;
  }
}

template <class T, class Sum>
void sum_ranks(const std::map<int, CollectiveArguments>& ranks, size_t count) {
  std::vector<T> total(count);
  for (size_t i = 0; i < count; ++i) {
    Sum sum{};
    for (const auto& [rank, call] : ranks) {
      const T value = static_cast<const T*>(real_address(call.from))[i];
      if constexpr (std::is_same_v<T, BFloat16>)
        sum += load(value);
      else
        sum += value;
    }
    if constexpr (std::is_same_v<T, BFloat16>)
      store(&total[i], sum);
    else
      total[i] = sum;
  }
  for (const auto& [rank, call] : ranks)
    copy_bytes(real_address(call.to), total.data(), count * sizeof(T));
}

void gather(const std::map<int, CollectiveArguments>& ranks, size_t bytes) {
  std::vector<char> all(bytes * ranks.size());
  for (const auto& [rank, call] : ranks)
    copy_bytes(all.data() + rank * bytes, real_address(call.from), bytes);
  for (const auto& [rank, call] : ranks) copy_bytes(real_address(call.to), all.data(), all.size());
}

std::string came(const Round& round, int size) {
  std::string here, missing;
  for (int rank = 0; rank < size; ++rank) {
    std::string& list = round.ranks.count(rank) ? here : missing;
    list += (list.empty() ? "" : ", ") + std::to_string(rank);
  }
  return "ranks " + here + " came, ranks " + missing + " did not";
}

// Checks what only this rank can see, and puts the collective on its stream.
ncclResult_t enter(const ncclComm& comm, const CollectiveArguments& call) {
  const std::string what = "nccl " + call.kind;
  const size_t bytes = call.count * element_bytes(call.type);
  if (element_bytes(call.type) == 0 || call.operation != ncclSum || call.root < 0 ||
      call.root >= comm.clique->size) {
    report(what + ": type, operation or root has no stand-in or no sense");
    return ncclInvalidArgument;
  }
  if (bytes > 0 && (!in_device_range(call.from) || !in_device_range(call.to))) {
    report(what + ": a host pointer where device memory belongs");
    return ncclInvalidArgument;
  }
  if (device_of(call.stream) != comm.device) {
    report(what + ": the stream belongs to another device than the communicator");
    return ncclInvalidUsage;
  }
  const size_t blocks = call.kind == "all-gather" ? comm.clique->size : 1;
  const Access accesses[] = {{call.from, bytes, false}, {call.to, bytes * blocks, true}};
  if (enqueue(call.stream, what, accesses) != cudaSuccess) return ncclUnhandledCudaError;
  take_time(call.stream, collective_seconds);
  return ncclSuccess;
}

// The last rank of a round compares what all of them asked for and carries it out.
void complete(Clique& clique, Round& round, int64_t turn) {
  for (const auto& [rank, call] : round.ranks)
    if (call.signature() != round.ranks.begin()->second.signature()) {
      break_clique(clique, "collective " + std::to_string(turn) + " of " + clique.name +
                               " is mismatched: rank " +
                               std::to_string(round.ranks.begin()->first) + " asks for " +
                               round.ranks.begin()->second.signature() + ", rank " +
                               std::to_string(rank) + " for " + call.signature());
      return;
    }
  carry_out(round.ranks);
  round.done = true;
  collective_change().notify_all();
}

ncclResult_t await(ncclComm& comm, int64_t turn, std::unique_lock<std::mutex>& lock) {
  Clique& clique = *comm.clique;
  Round& round = clique.rounds[turn];
  if (!wait_for(lock, [&] { return round.done || !clique.broken.empty(); }))
    break_clique(clique, "collective " + std::to_string(turn) + " of " + clique.name + " (" +
                             round.ranks.begin()->second.signature() +
                             "): " + came(round, clique.size) + " within " +
                             std::to_string(collective_timeout()) + " s");
  if (round.done) return ncclSuccess;
  comm.error = ncclRemoteError;
  return ncclRemoteError;
}

}  // namespace

std::string CollectiveArguments::signature() const {
  std::string text =
      kind + " of " + std::to_string(count) + " elements of type " + std::to_string(type);
  if (kind == "broadcast") text += " from root " + std::to_string(root);
  return in_graph ? text + " in a graph" : text;
}

std::mutex& collective_mutex() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}

std::condition_variable& collective_change() {
  static auto* const change = new std::condition_variable;
  return *change;
}

double collective_timeout() {
  return timeout_seconds;
}

void set_collective_timeout(double seconds) {
  std::lock_guard lock(collective_mutex());
  timeout_seconds = seconds;
}

void set_collective_seconds(double seconds) {
  std::lock_guard lock(collective_mutex());
  collective_seconds = seconds;
}

void break_clique(Clique& clique, const std::string& why) {
  if (!clique.broken.empty()) return;
  clique.broken = report("nccl: " + why);
  collective_change().notify_all();
}

void carry_out(const std::map<int, CollectiveArguments>& ranks) {
  const CollectiveArguments& first = ranks.begin()->second;
  if (first.kind == "broadcast") {
    const CollectiveArguments root = ranks.at(first.root);
    const size_t bytes = first.count * element_bytes(first.type);
    std::vector<char> data(bytes);
    copy_bytes(data.data(), real_address(root.from), bytes);
    for (const auto& [rank, call] : ranks) copy_bytes(real_address(call.to), data.data(), bytes);
  } else if (first.kind == "all-gather") {
    gather(ranks, first.count * element_bytes(first.type));
  } else {
    switch (first.type) {
      case ncclFloat32:
        return sum_ranks<float, float>(ranks, first.count);
      case ncclBfloat16:
        return sum_ranks<BFloat16, float>(ranks, first.count);
      case ncclFloat64:
        return sum_ranks<double, double>(ranks, first.count);
      case ncclInt64:
        return sum_ranks<int64_t, int64_t>(ranks, first.count);
      default:
        report("nccl all-reduce: a type without stand-in");
    }
  }
}

namespace {

ncclResult_t post_collectives(const std::vector<GroupedCall>& calls) {
  std::vector<int64_t> turns;
  for (const GroupedCall& call : calls) {
    if (const ncclResult_t result = enter(*call.comm, call.arguments); result != ncclSuccess) {
      call.comm->error = result;
      return result;
    }
    std::lock_guard lock(collective_mutex());
    Clique& clique = *call.comm->clique;
    turns.push_back(call.comm->turn++);
    Round& round = clique.rounds[turns.back()];
    round.ranks[call.comm->rank] = call.arguments;
    if (static_cast<int>(round.ranks.size()) == clique.size && clique.broken.empty())
      complete(clique, round, turns.back());
  }
  ncclResult_t result = ncclSuccess;
  for (size_t i = 0; i < calls.size() && result == ncclSuccess; ++i) {
    std::unique_lock lock(collective_mutex());
    result = await(*calls[i].comm, turns[i], lock);
  }
  return result;
}

// One call, run by a graph. Only the communicator's life is the host's still to guard.
cudaError_t launch_collective(GroupedCall call, cudaStream_t stream) {
  call.arguments.stream = stream;
  call.arguments.in_graph = true;
  if (!communicators().find(call.comm, "cudaGraphLaunch")) return cudaErrorLaunchFailure;
  return post_collectives({call}) == ncclSuccess ? cudaSuccess : cudaErrorLaunchFailure;
}

}  // namespace

ncclResult_t run_collectives(const std::vector<GroupedCall>& calls) {
  std::vector<GroupedCall> now;
  ncclResult_t result = ncclSuccess;
  for (const GroupedCall& call : calls) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    (void)cudaStreamIsCapturing(call.arguments.stream, &status);
    if (status == cudaStreamCaptureStatusNone)
      now.push_back(call);
    else if (submit(call.arguments.stream, "nccl " + call.arguments.kind,
                    [call](cudaStream_t on) { return launch_collective(call, on); }) != cudaSuccess)
      result = call.comm->error = ncclUnhandledCudaError;
  }
  if (result == ncclSuccess) result = post_collectives(now);
  if (calls.empty() || calls.back().comm->blocking) return result;
  for (const GroupedCall& call : calls) call.comm->unasked = 1;
  return ncclInProgress;  // an error is told by the communicator's state
}

}  // namespace ab::standin

using namespace ab::standin;

namespace {

ncclResult_t start(const char* function, ncclComm_t comm, CollectiveArguments arguments) {
  if (const int code = injected(function)) return static_cast<ncclResult_t>(code);
  const ncclResult_t ready = ready_for_call(comm, function);
  if (ready != ncclSuccess) return ready;
  const GroupedCall call{comm, std::move(arguments)};
  if (group_depth == 0) return run_collectives({call});
  grouped.push_back(call);
  return ncclSuccess;
}

}  // namespace

extern "C" {

ncclResult_t ncclGroupStart() {
  ++group_depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group_depth < 1) {
    report("ncclGroupEnd without ncclGroupStart");
    return ncclInvalidUsage;
  }
  return --group_depth > 0 ? ncclSuccess : run_collectives(std::exchange(grouped, {}));
}

ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
  return start(__func__, comm, {"all-reduce", count, type, operation, 0, from, to, stream});
}

ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  // Only the root's `from` is read.
  const void* const source =
      comm && communicators().find(comm, __func__) && comm->rank != root ? to : from;
  return start(__func__, comm, {"broadcast", count, type, ncclSum, root, source, to, stream});
}

ncclResult_t ncclAllGather(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return start(__func__, comm, {"all-gather", count, type, ncclSum, 0, from, to, stream});
}

}  // extern "C"
