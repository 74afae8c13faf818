// Planted faults of stream capture and graphs, and the correct use beside them.
#include <nccl.h>

#include <thread>
#include <vector>

#include "kernels/elementwise.h"
#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"
#include "tests/standin/memory.h"

namespace ab::standin {
namespace {

struct Fork {
  Fork() {
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaMalloc(&memory, 1024);
    const float one = 1.0f;
    cudaMemcpy(memory, &one, sizeof one, cudaMemcpyHostToDevice);
  }
  ~Fork() {
    cudaDeviceSynchronize();
    cudaFree(memory);
    cudaEventDestroy(event);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
  }
  void begin() { cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal); }
  cudaError_t end() {
    graph = nullptr;
    return cudaStreamEndCapture(a, &graph);
  }
  cudaGraphExec_t instantiate() {
    cudaGraphExec_t executable = nullptr;
    cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    return executable;
  }
  void order(cudaStream_t earlier, cudaStream_t later) {
    cudaEventRecord(event, earlier);
    cudaStreamWaitEvent(later, event, 0);
  }
  void twice(cudaStream_t stream, size_t place = 0) {
    scale({DeviceKind::kCuda, stream}, DType::kFloat32, 1,
          DevicePtr(static_cast<float*>(memory) + place), 2.0f);
  }
  float value() {
    float value = 0.0f;
    cudaDeviceSynchronize();
    cudaMemcpy(&value, memory, sizeof value, cudaMemcpyDeviceToHost);
    return value;
  }

  cudaStream_t a, b;
  cudaEvent_t event;
  void* memory = nullptr;
  cudaGraph_t graph = nullptr;
};

TEST_CASE("what is captured runs at each launch and not before") {
  Fork f;
  f.begin();
  f.twice(f.a);
  f.order(f.a, f.b);
  f.twice(f.b);
  f.order(f.b, f.a);
  f.twice(f.a);
  REQUIRE(f.end() == cudaSuccess);
  cudaGraphExec_t eight = f.instantiate();
  CHECK(f.value() == 1.0f);
  CHECK(cudaGraphLaunch(eight, f.a) == cudaSuccess);
  CHECK(f.value() == 8.0f);
  CHECK(cudaGraphLaunch(eight, f.a) == cudaSuccess);
  f.twice(f.a);
  CHECK(f.value() == 128.0f);
  CHECK(cudaGraphExecDestroy(eight) == cudaSuccess);
  CHECK_THAT(take_faults(), faults({}));
  CHECK(cudaGraphLaunch(eight, f.a) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"an executable graph used after its destruction"}));
}

TEST_CASE("what waits, asks, takes memory or uses the default stream ends a capture") {
  Fork f;
  cudaEvent_t other;
  cudaEventCreateWithFlags(&other, cudaEventDisableTiming);
  void* address = nullptr;
  float host = 0.0f;
  const std::function<cudaError_t()> calls[] = {
      [&] { return cudaStreamSynchronize(f.a); },
      [&] { return cudaStreamQuery(f.b); },
      [&] { return cudaDeviceSynchronize(); },
      [&] { return cudaEventQuery(other); },
      [&] { return cudaEventSynchronize(other); },
      [&] { return cudaMalloc(&address, 64); },
      [&] { return cudaMallocAsync(&address, 64, f.a); },
      [&] { return cudaFree(f.memory); },
      [&] { return cudaFreeAsync(f.memory, f.a); },
      [&] { return cudaHostAlloc(&address, 64, cudaHostAllocDefault); },
      [&] { return cudaMemsetAsync(f.memory, 0, 4, nullptr); },
      [&] { return cudaMemcpyAsync(f.memory, &host, 4, cudaMemcpyHostToDevice, f.a); },
      [&] { return cudaStreamDestroy(f.a); },
  };
  for (const auto& call : calls) {
    f.begin();
    f.twice(f.a);
    CHECK(call() != cudaSuccess);
    CHECK(take_faults().size() == 1);
    CHECK_THROWS(f.twice(f.a));  // nothing more is taken in
    CHECK(f.end() == cudaErrorStreamCaptureInvalidated);
    CHECK(f.graph == nullptr);
  }
  CHECK(f.value() == 1.0f);
  CHECK_THAT(take_faults(), faults({}));
  cudaEventDestroy(other);
}

TEST_CASE("a fork that is not joined") {
  Fork f;
  f.begin();
  f.order(f.a, f.b);
  f.twice(f.b);
  CHECK(f.end() == cudaErrorStreamCaptureUnjoined);
  CHECK_THAT(take_faults(), faults({"was not joined to"}));
  f.begin();
  f.order(f.a, f.b);  // an empty fork needs no join
  CHECK(f.end() == cudaSuccess);
  cudaGraphDestroy(f.graph);
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("events do not cross the border of a capture") {
  Fork f;
  cudaEventRecord(f.event, f.b);
  f.begin();
  CHECK(cudaStreamWaitEvent(f.a, f.event, 0) == cudaErrorStreamCaptureIsolation);
  CHECK_THAT(take_faults(), faults({"recorded outside the capture"}));
  CHECK(f.end() == cudaErrorStreamCaptureInvalidated);
  f.begin();
  cudaEventRecord(f.event, f.a);
  CHECK(f.end() == cudaSuccess);
  cudaGraphDestroy(f.graph);
  CHECK(cudaStreamWaitEvent(f.b, f.event, 0) == cudaErrorCapturedEvent);
  CHECK(cudaEventQuery(f.event) == cudaErrorCapturedEvent);
  CHECK_THAT(take_faults(), faults({"last recorded in a capture", "last recorded in a capture"}));
  CHECK(cudaEventRecordWithFlags(f.event, f.a, cudaEventRecordExternal) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"an external record outside a capture"}));
}

TEST_CASE("two captures do not merge, and a capture ends where and by whom it was begun") {
  Fork f;
  cudaGraph_t graph = nullptr;
  f.begin();
  cudaStreamBeginCapture(f.b, cudaStreamCaptureModeThreadLocal);
  cudaEventRecord(f.event, f.b);
  CHECK(cudaStreamWaitEvent(f.a, f.event, 0) == cudaErrorStreamCaptureMerge);
  CHECK(take_faults().size() == 2);
  CHECK(f.end() == cudaErrorStreamCaptureInvalidated);
  CHECK(cudaStreamEndCapture(f.b, &graph) == cudaErrorStreamCaptureInvalidated);

  f.begin();
  CHECK(cudaStreamBeginCapture(f.a, cudaStreamCaptureModeThreadLocal) == cudaErrorIllegalState);
  f.order(f.a, f.b);
  CHECK(cudaStreamEndCapture(f.b, &graph) == cudaErrorStreamCaptureUnmatched);
  CHECK(f.end() == cudaErrorStreamCaptureInvalidated);
  f.begin();
  std::thread([&] {
    CHECK(cudaStreamEndCapture(f.a, &graph) == cudaErrorStreamCaptureWrongThread);
  }).join();
  CHECK(f.end() == cudaErrorStreamCaptureInvalidated);
  CHECK(f.end() == cudaErrorIllegalState);
  CHECK_THAT(take_faults(), faults({"being captured already", "began on another stream",
                                    "begun by another thread", "not being captured"}));
}

TEST_CASE("a graph whose memory has been freed") {
  Fork f;
  void* gone = nullptr;
  cudaMalloc(&gone, 64);
  f.begin();
  scale({DeviceKind::kCuda, f.a}, DType::kFloat32, 1, DevicePtr(gone), 2.0f);
  f.end();
  cudaGraphExec_t executable = f.instantiate();
  CHECK(cudaGraphLaunch(executable, f.a) == cudaSuccess);
  cudaFree(gone);
  CHECK(cudaGraphLaunch(executable, f.a) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"a freed pointer"}));
  cudaGraphExecDestroy(executable);
}

TEST_CASE("a launch is ordered like one operation, and its branches among themselves by events") {
  Fork f;
  f.begin();
  f.order(f.a, f.b);
  f.twice(f.b);
  f.order(f.b, f.a);
  f.end();
  cudaGraphExec_t executable = f.instantiate();
  cudaGraphLaunch(executable, f.a);
  CHECK_THROWS(f.twice(f.b));
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));
  cudaDeviceSynchronize();
  f.twice(f.b);
  CHECK(cudaGraphLaunch(executable, f.a) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));
  cudaDeviceSynchronize();
  cudaGraphLaunch(executable, f.a);
  f.order(f.a, f.b);
  f.twice(f.b);
  f.order(f.b, f.a);
  CHECK(cudaGraphLaunch(executable, f.a) == cudaSuccess);
  cudaGraphExecDestroy(executable);
  CHECK_THAT(take_faults(), faults({}));

  cudaDeviceSynchronize();
  f.begin();
  f.order(f.a, f.b);
  f.twice(f.b);
  f.twice(f.a);  // beside the other branch
  f.order(f.b, f.a);
  f.end();
  executable = f.instantiate();
  CHECK(cudaGraphLaunch(executable, f.a) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));
  cudaGraphExecDestroy(executable);
}

TEST_CASE("an external record is seen outside at each launch") {
  Fork f;
  cudaEvent_t start, stop;
  cudaEventCreate(&start);
  cudaEventCreate(&stop);
  f.begin();
  cudaEventRecordWithFlags(start, f.a, cudaEventRecordExternal);
  f.twice(f.a);
  cudaEventRecordWithFlags(stop, f.a, cudaEventRecordExternal);
  f.end();
  cudaGraphExec_t executable = f.instantiate();
  float ms = -1.0f;
  CHECK(cudaEventElapsedTime(&ms, start, stop) != cudaSuccess);  // no launch yet
  CHECK_THAT(take_faults(), faults({"must be recorded"}));
  cudaGraphLaunch(executable, f.a);
  CHECK(cudaEventElapsedTime(&ms, start, stop) == cudaErrorNotReady);
  cudaStreamWaitEvent(f.b, stop, 0);
  f.twice(f.b);
  CHECK(f.value() == 4.0f);
  CHECK(cudaEventElapsedTime(&ms, start, stop) == cudaSuccess);
  CHECK(ms >= 0.0f);
  cudaGraphExecDestroy(executable);
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("a collective is captured by all ranks or by none") {
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  const bool both = GENERATE(true, false);
  std::vector<float> sums(2);
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 2; ++rank)
    ranks.emplace_back([&, rank] {
      cudaSetDevice(rank);
      Fork f;
      ncclComm_t comm = nullptr;
      ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
      ncclCommInitRankConfig(&comm, 2, id, rank, &config);
      const auto sum = [&] {
        ncclAllReduce(f.memory, f.memory, 1, ncclFloat32, ncclSum, comm, f.a);
      };
      if (both || rank == 0) {
        f.begin();
        sum();
        f.end();
        cudaGraphExec_t executable = f.instantiate();
        cudaGraphLaunch(executable, f.a);
        if (both) cudaGraphLaunch(executable, f.a);
        cudaGraphExecDestroy(executable);
      } else {
        sum();
      }
      sums[rank] = f.value();
      ncclCommAbort(comm);
    });
  for (std::thread& rank : ranks) rank.join();
  if (both) {
    CHECK(sums == std::vector<float>{4.0f, 4.0f});
    CHECK_THAT(take_faults(), faults({}));
  } else {
    CHECK_THAT(take_faults(), faults({"is mismatched"}));
  }
}

}  // namespace
}  // namespace ab::standin
