// The launch path on the stand-ins: what a step may lay into a graph, batches that travel beside
// the computation, and the time that the compute queue waits. Events that are left out must be
// caught.
#include "distributed/communicator.h"
#include "engine/ranges.h"
#include "kernels/elementwise.h"
#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"
#include "tools/train/device_batch.h"

namespace ab::standin {
namespace {

constexpr int kLeftOut = -1;  // fail_next(): the call does nothing and says that it went well

struct Gpu {
  std::unique_ptr<Device> device = Device::create(DeviceKind::kCuda);
  Runtime& runtime = device->runtime();
  Stream stream = device->stream();
  Buffer memory{*device, 64};

  void put(float value) { runtime.copy_to_device(stream, memory.data(), &value, sizeof value); }
  float get() {
    float value = 0.0f;
    runtime.copy_to_host(stream, &value, memory.data(), sizeof value);
    return value;
  }
  void twice() { scale(stream, DType::kFloat32, 1, memory.data(), 2.0f); }
  std::string why_not(const std::function<void()>& work) {
    try {
      runtime.capture(work);
    } catch (const NotCapturable& error) {
      return error.what();
    }
    return "";
  }
};

TEST_CASE("launch: a recorded stretch runs when it is launched") {
  Gpu gpu;
  gpu.put(1.0f);
  const auto graph = gpu.runtime.capture([&] { gpu.twice(); });
  REQUIRE(graph);
  CHECK(gpu.get() == 1.0f);
  graph->launch();
  graph->launch();
  CHECK(gpu.get() == 4.0f);
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("launch: what cannot be recorded says why, and leaves the device as it was") {
  Gpu gpu;
  gpu.put(1.0f);
  CHECK(gpu.why_not([&] { gpu.get(); }).find("copied to the host") != std::string::npos);
  CHECK(gpu.why_not([&] { gpu.put(2.0f); }).find("copied to the device") != std::string::npos);
  CHECK(gpu.why_not([&] { gpu.device->allocate(64); }).find("is taken") != std::string::npos);
  CHECK(gpu.why_not([&] { gpu.runtime.synchronize(gpu.stream); }).find("the host waits") !=
        std::string::npos);
  CHECK(gpu.why_not([&] { gpu.runtime.time(gpu.stream, [] {}); }).find("the host waits") !=
        std::string::npos);
  // With a queue drawn in, and memory released on the way.
  Buffer held(*gpu.device, 64);
  const std::string why = gpu.why_not([&] {
    const Stream other = gpu.runtime.queue(Queue::kCommunication);
    gpu.runtime.wait_for(other, gpu.stream);
    gpu.runtime.zero(other, gpu.memory.data(), 4);
    held = Buffer();
    gpu.get();
  });
  CHECK(why.find("copied to the host") != std::string::npos);
  fail_next("cudaGraphInstantiate", 2);
  CHECK(gpu.why_not([] {}).find("cudaGraphInstantiate failed") != std::string::npos);
  CHECK_THROWS_AS(gpu.runtime.capture([] { throw CommunicationError("a rank is lost"); }),
                  CommunicationError);
  CHECK(gpu.get() == 1.0f);
  CHECK_THAT(take_faults(), faults({}));
}

HostBatch batch_of(uint8_t value) {
  HostBatch batch;
  batch.count = 2;
  batch.height = batch.width = 4;
  batch.channels = 1;
  batch.pixels.assign(32, value);
  batch.crops.resize(2);
  batch.labels.assign(2, value);
  return batch;
}

// Four steps, each with the batch that was sent while the one before it computed: the sum of the
// labels' first bytes as floats.
std::vector<int32_t> labels_of_steps() {
  Gpu gpu;
  Normalisation identity;
  std::fill(identity.inverse_std, identity.inverse_std + 3, 1.0f);
  DeviceBatch batch(*gpu.device, 2, 4, identity);
  Arena arena(*gpu.device);
  std::vector<int32_t> labels;
  batch.send(batch_of(1));
  for (uint8_t step = 1; step <= 4; ++step) {
    batch.take();
    {
      Context pass(*gpu.device, arena);
      const Tensor images = batch.images(pass);
      batch.send(batch_of(step + 1));
      int32_t label = 0;
      gpu.runtime.copy_to_host(gpu.stream, &label, batch.labels().data(), sizeof label);
      labels.push_back(label);
    }
    arena.end_step();
  }
  return labels;
}

TEST_CASE("launch: batches arrive beside the computation, in their order") {
  CHECK(labels_of_steps() == std::vector<int32_t>{1, 2, 3, 4});
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("launch: a batch taken without waiting for its arrival is caught") {
  Gpu gpu;
  DeviceBatch batch(*gpu.device, 2, 4, {});
  batch.send(batch_of(1));
  fail_next("cudaStreamWaitEvent", kLeftOut);
  CHECK_THROWS(batch.take());
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));
}

TEST_CASE("launch: a batch sent over one that is still being taken is caught") {
  Gpu gpu;
  DeviceBatch batch(*gpu.device, 2, 4, {});
  batch.upload(batch_of(1));
  fail_next("cudaStreamWaitEvent", kLeftOut);
  CHECK_THROWS(batch.send(batch_of(2)));
  gpu.runtime.synchronize(gpu.runtime.queue(Queue::kCopy));  // the memory goes
  CHECK_THAT(take_faults(), faults({"no event orders the two"}));
}

TEST_CASE("launch: the wait for a sum is the time that the compute queue stood still") {
  constexpr double kSeconds = 1000.0;  // of the stand-in's streams: nobody waits so long
  const bool recorded = GENERATE(false, true);
  std::vector<double> waited(2);
  set_collective_seconds(kSeconds);
  run_local_ranks(2, 2, [&](Communicator& below) {
    const auto device = Device::create(DeviceKind::kCuda, below.rank());
    Runtime& runtime = device->runtime();
    const Buffer memory(*device, 64);
    runtime.zero(device->stream(), memory.data(), 64);
    const auto world = device_world(below, *device, {60.0});
    const auto watch = runtime.stopwatch();
    const auto step = [&] {
      watch->reset();
      const auto pending = world->start_all_reduce(Purpose::kGradients, device->stream(),
                                                   memory.data(), 1, DType::kFloat32);
      watch->start(device->stream());
      pending->wait();
      watch->stop(device->stream());
    };
    const auto graph = recorded ? runtime.capture(step) : nullptr;
    if (graph)
      graph->launch();
    else
      step();
    runtime.synchronize(device->stream());
    waited[static_cast<size_t>(below.rank())] = watch->seconds();
  });
  set_collective_seconds(0.0);
  for (const double seconds : waited) {
    CHECK(seconds > 0.9 * kSeconds);
    CHECK(seconds <= kSeconds);
  }
  CHECK_THAT(take_faults(), faults({}));
}

}  // namespace
}  // namespace ab::standin
