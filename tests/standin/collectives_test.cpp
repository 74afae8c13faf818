// NCCL's stand-in with ranks as threads: sums, splits, and collectives that do not belong together.
#include <nccl.h>

#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"

namespace ab::standin {
namespace {

// One rank on a device of its own; asserts nothing, since Catch2's checks are not made for threads.
struct Rank {
  Rank(int rank_, int size_, const ncclUniqueId& id) : rank(rank_), size(size_) {
    cudaSetDevice(rank);
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaMalloc(&memory, 1024);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    config.commName = "world";
    ncclCommInitRankConfig(&comm, size, id, rank, &config);
    state = settle(comm);
  }
  ~Rank() {
    ncclCommAbort(comm);
    cudaFree(memory);
    cudaStreamDestroy(stream);
  }
  static ncclResult_t settle(ncclComm_t comm) {
    ncclResult_t now = ncclInProgress;
    while (now == ncclInProgress) {
      ncclCommGetAsyncError(comm, &now);
      std::this_thread::yield();
    }
    return now;
  }
  float sum(ncclComm_t over, float value, size_t count = 1) {
    cudaMemcpyAsync(memory, &value, sizeof value, cudaMemcpyHostToDevice, stream);
    ncclAllReduce(memory, memory, count, ncclFloat32, ncclSum, over, stream);
    state = settle(over);
    cudaMemcpyAsync(&value, memory, sizeof value, cudaMemcpyDeviceToHost, stream);
    return value;
  }

  int rank, size;
  cudaStream_t stream;
  void* memory = nullptr;
  ncclComm_t comm = nullptr;
  ncclResult_t state = ncclSuccess;
};

void on_ranks(int size, const std::function<void(Rank&)>& body) {
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r)
    threads.emplace_back([&, r] {
      Rank rank(r, size, id);
      body(rank);
    });
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("nccl: ranks sum, and sum in the groups of a split") {
  std::vector<float> world(4), group(4);
  on_ranks(4, [&](Rank& rank) {
    world[rank.rank] = rank.sum(rank.comm, static_cast<float>(1 << rank.rank));
    ncclComm_t half = nullptr;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclCommSplit(rank.comm, rank.rank / 2, rank.rank, &half, &config);
    Rank::settle(rank.comm);
    Rank::settle(half);
    group[rank.rank] = rank.sum(half, static_cast<float>(1 << rank.rank));
    ncclCommFinalize(half);
    Rank::settle(half);
    ncclCommDestroy(half);
  });
  CHECK(world == std::vector<float>{15, 15, 15, 15});
  CHECK(group == std::vector<float>{3, 3, 12, 12});
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("nccl: a collective that half of the ranks call is named, and ends in an error") {
  set_collective_timeout(0.3);
  std::vector<ncclResult_t> states(4);
  on_ranks(4, [&](Rank& rank) {
    if (rank.rank < 2) rank.sum(rank.comm, 1.0f);
    states[rank.rank] = rank.state;
    std::this_thread::sleep_for(std::chrono::milliseconds(rank.rank < 2 ? 0 : 600));
  });
  set_collective_timeout(30.0);
  CHECK(states[0] == ncclRemoteError);
  CHECK(states[1] == ncclRemoteError);
  CHECK_THAT(take_faults(), faults({"ranks 0, 1 came, ranks 2, 3 did not"}));
}

TEST_CASE("nccl: ranks that ask for different collectives are told so") {
  std::vector<ncclResult_t> states(2);
  on_ranks(2, [&](Rank& rank) {
    rank.sum(rank.comm, 1.0f, rank.rank == 0 ? 1 : 2);
    states[rank.rank] = rank.state;
  });
  CHECK(states == std::vector<ncclResult_t>(2, ncclRemoteError));
  CHECK_THAT(take_faults(), faults({"is mismatched: rank 0 asks for all-reduce of 1"}));
}

TEST_CASE("nccl: a call before the last one's state was asked for") {
  on_ranks(2, [&](Rank& rank) {
    ncclAllReduce(rank.memory, rank.memory, 1, ncclFloat32, ncclSum, rank.comm, rank.stream);
    ncclAllReduce(rank.memory, rank.memory, 1, ncclFloat32, ncclSum, rank.comm, rank.stream);
  });
  CHECK_THAT(take_faults(), faults({"in progress", "in progress"}));
}

TEST_CASE("nccl: host pointers and missing events are caught") {
  on_ranks(1, [&](Rank& rank) {
    float host = 0.0f;
    ncclAllReduce(&host, &host, 1, ncclFloat32, ncclSum, rank.comm, rank.stream);
  });
  CHECK_THAT(take_faults(), faults({"a host pointer"}));
  on_ranks(1, [&](Rank& rank) {
    cudaStream_t compute;
    cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking);
    cudaMemsetAsync(rank.memory, 0, 64, compute);
    ncclAllReduce(rank.memory, rank.memory, 4, ncclFloat32, ncclSum, rank.comm, rank.stream);
    cudaStreamDestroy(compute);
  });
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));
}

TEST_CASE("nccl: two ranks on one device") {
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  ncclComm_t comms[2];
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  for (int r = 0; r < 2; ++r) ncclCommInitRankConfig(&comms[r], 2, id, r, &config);
  CHECK(Rank::settle(comms[0]) == ncclRemoteError);
  CHECK_THAT(take_faults(), faults({"share device 0"}));
  for (ncclComm_t comm : comms) ncclCommAbort(comm);
}

}  // namespace
}  // namespace ab::standin
