// Planted faults of the runtime, of kernels and of device memory: each must be caught, and the
// correct use beside it must pass. A fault is told by its text.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "kernels/elementwise.h"
#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"
#include "tests/standin/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace ab::standin {
namespace {

struct Streams2 {
  Streams2() {
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaMalloc(&memory, 1024);
  }
  ~Streams2() {
    cudaFree(memory);
    cudaEventDestroy(event);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
  }
  float* floats() const { return static_cast<float*>(memory); }

  cudaStream_t a, b;
  cudaEvent_t event;
  void* memory = nullptr;
};

void double_values(cudaStream_t stream, void* values, int64_t n) {
  scale({DeviceKind::kCuda, stream}, DType::kFloat32, n, DevicePtr(values), 2.0f);
}

TEST_CASE("a copy that another stream writes needs an event between") {
  Streams2 s;
  float result[4] = {};
  REQUIRE(cudaMemsetAsync(s.memory, 0, 16, s.a) == cudaSuccess);
  CHECK(cudaMemcpyAsync(result, s.memory, 16, cudaMemcpyDeviceToHost, s.b) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));

  cudaDeviceSynchronize();
  REQUIRE(cudaMemsetAsync(s.memory, 0, 16, s.a) == cudaSuccess);
  cudaEventRecord(s.event, s.a);
  cudaStreamWaitEvent(s.b, s.event, 0);
  CHECK(cudaMemcpyAsync(result, s.memory, 16, cudaMemcpyDeviceToHost, s.b) == cudaSuccess);
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("ranges that do not meet and reads that meet need no event") {
  Streams2 s;
  float result[4] = {};
  REQUIRE(cudaMemsetAsync(s.floats(), 0, 16, s.a) == cudaSuccess);
  CHECK(cudaMemsetAsync(s.floats() + 4, 0, 16, s.b) == cudaSuccess);
  cudaStreamSynchronize(s.a);
  cudaStreamSynchronize(s.b);
  CHECK(cudaMemcpyAsync(s.floats() + 8, s.floats(), 16, cudaMemcpyDeviceToDevice, s.a) ==
        cudaSuccess);
  CHECK(cudaMemcpyAsync(result, s.floats(), 16, cudaMemcpyDeviceToHost, s.b) == cudaSuccess);
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("an event recorded too early orders nothing that came later") {
  Streams2 s;
  cudaEventRecord(s.event, s.a);
  REQUIRE(cudaMemsetAsync(s.memory, 0, 16, s.a) == cudaSuccess);
  cudaStreamWaitEvent(s.b, s.event, 0);
  CHECK(cudaMemsetAsync(s.memory, 1, 16, s.b) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));
}

TEST_CASE("a kernel runs on device memory, and races like a copy") {
  Streams2 s;
  const float values[] = {1, 2, 3};
  float result[3] = {};
  cudaMemcpyAsync(s.memory, values, sizeof values, cudaMemcpyHostToDevice, s.a);
  double_values(s.a, s.memory, 3);
  cudaMemcpyAsync(result, s.memory, sizeof result, cudaMemcpyDeviceToHost, s.a);
  CHECK(result[0] == 2.0f);
  CHECK(result[2] == 6.0f);
  CHECK_THAT(take_faults(), faults({}));

  double_values(s.a, s.memory, 3);
  CHECK_THROWS(double_values(s.b, s.memory, 3));
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));
}

TEST_CASE("a kernel is refused freed pointers and host pointers") {
  Streams2 s;
  void* gone = nullptr;
  cudaMalloc(&gone, 64);
  cudaFree(gone);
  CHECK_THROWS(double_values(s.a, gone, 4));
  CHECK_THAT(take_faults(), faults({"a freed pointer"}));
  std::vector<float> host(4, 1.0f);
  CHECK_THROWS(double_values(s.a, host.data(), 4));
  CHECK_THAT(take_faults(), faults({"a host pointer"}));
  CHECK(host[0] == 1.0f);
}

TEST_CASE("memory of a stream is another stream's only after an event") {
  Streams2 s;
  void* fresh = nullptr;
  REQUIRE(cudaMallocAsync(&fresh, 64, s.a) == cudaSuccess);
  CHECK(cudaMemsetAsync(fresh, 0, 64, s.b) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"cudaMallocAsync"}));
  cudaStreamSynchronize(s.a);
  cudaStreamSynchronize(s.b);
  REQUIRE(cudaMemsetAsync(fresh, 0, 64, s.b) == cudaSuccess);
  CHECK(cudaFreeAsync(fresh, s.a) != cudaSuccess);  // while b still writes it
  CHECK_THAT(take_faults(), faults({"cudaFreeAsync"}));
  CHECK(cudaFreeAsync(fresh, s.a) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"a freed pointer", "a freed pointer"}));
}

TEST_CASE("copies know their ends, their kinds and the end of memory") {
  Streams2 s;
  char host[2048] = {};
  CHECK(cudaMemcpyAsync(s.memory, host, 1025, cudaMemcpyHostToDevice, s.a) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"passes the end of its allocation by 1 bytes"}));
  CHECK(cudaMemcpyAsync(host, s.memory, 16, cudaMemcpyHostToDevice, s.a) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"the kind says otherwise"}));
  CHECK(cudaMemsetAsync(host, 0, 16, s.a) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"a host pointer"}));
}

TEST_CASE("streams and events are of no use once destroyed") {
  Streams2 s;
  cudaStream_t stream;
  cudaEvent_t event;
  cudaStreamCreate(&stream);
  cudaEventCreate(&event);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  CHECK(cudaEventDestroy(event) == cudaSuccess);
  CHECK(cudaMemsetAsync(s.memory, 0, 4, stream) != cudaSuccess);
  CHECK(cudaEventRecord(event, s.a) != cudaSuccess);
  CHECK_THAT(take_faults(), faults({"the stream was destroyed", "the event was destroyed"}));
}

TEST_CASE("a kernel stays on its own device") {
  Streams2 s;
  cudaSetDevice(1);
  CHECK_THROWS(double_values(s.a, s.memory, 4));
  CHECK_THAT(take_faults(), faults({"the stream belongs to device 0"}));
  cudaStream_t other;
  cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
  CHECK_THROWS(double_values(other, s.memory, 4));
  CHECK_THAT(take_faults(), faults({"memory of device 0"}));
  cudaStreamDestroy(other);
  cudaSetDevice(0);
}

TEST_CASE("the host cannot read device memory") {
  Streams2 s;
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    const float value = *static_cast<const volatile float*>(s.floats());
    _exit(value == value ? 0 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGSEGV);
}

TEST_CASE("pinned memory belongs to a transfer until the host has waited for it") {
  Streams2 s;
  void* pinned = nullptr;
  REQUIRE(cudaHostAlloc(&pinned, 256, cudaHostAllocDefault) == cudaSuccess);
  cudaMemsetAsync(s.memory, 0, 256, s.a);
  cudaMemcpyAsync(pinned, s.memory, 256, cudaMemcpyDeviceToHost, s.a);
#if defined(__SANITIZE_ADDRESS__)
  CHECK(__asan_address_is_poisoned(pinned));
#endif
  CHECK(cudaMemcpyAsync(pinned, s.memory, 256, cudaMemcpyDeviceToHost, s.b) != cudaSuccess);
  cudaStreamSynchronize(s.a);
  cudaStreamSynchronize(s.b);
#if defined(__SANITIZE_ADDRESS__)
  CHECK_FALSE(__asan_address_is_poisoned(pinned));
#endif
  CHECK(static_cast<char*>(pinned)[255] == 0);
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

TEST_CASE("device memory runs out") {
  set_device_memory(size_t{1} << 20);
  void* address = nullptr;
  CHECK(cudaMalloc(&address, size_t{2} << 20) == cudaErrorMemoryAllocation);
  set_device_memory(size_t{16} << 30);
  CHECK(cudaMalloc(&address, size_t{2} << 20) == cudaSuccess);
  CHECK(cudaFree(address) == cudaSuccess);
}

}  // namespace
}  // namespace ab::standin
