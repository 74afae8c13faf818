// The NCCL communicator over ranks that are threads: every type it carries, and how a rank that
// fails, aborts or asks for something else ends all of them.
#include "distributed/communicator.h"

#include <chrono>
#include <mutex>
#include <thread>

#include "engine/device.h"
#include "engine/error.h"
#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"

namespace ab::standin {
namespace {

struct Rank {
  Rank(Communicator& below, double timeout_s)
      : device(Device::create(DeviceKind::kCuda, below.rank())),
        memory(*device, 256),
        world(device_world(below, *device, {timeout_s})) {}

  template <class T>
  void put(T value) {
    device->runtime().copy_to_device(device->stream(), memory.data(), &value, sizeof value);
  }
  template <class T>
  T get() {
    T value;
    device->runtime().copy_to_host(device->stream(), &value, memory.data(), sizeof value);
    return value;
  }
  void sum(DType dtype, int64_t elements = 1) {
    world->start_all_reduce(Purpose::kGradients, device->stream(), memory.data(), elements, dtype)
        ->wait();
  }

  std::unique_ptr<Device> device;
  Buffer memory;
  std::unique_ptr<Communicator> world;
};

// Runs `body` on two ranks and returns the texts of all errors; empty when all went well.
std::string run(const std::function<void(Rank&)>& body, double timeout_s = 60.0) {
  std::mutex mutex;
  std::string errors;
  try {
    run_local_ranks(2, 2, [&](Communicator& below) {
      try {
        Rank rank(below, timeout_s);
        body(rank);
      } catch (const std::exception& error) {
        std::lock_guard lock(mutex);
        errors += std::string(error.what()) + "\n";
        throw;
      }
    });
  } catch (const std::exception&) {
    return errors;
  }
  return errors;
}

void check_holds(const std::string& text, const std::string& part) {
  INFO("\"" << text << "\" should hold \"" << part << "\"");
  CHECK(text.find(part) != std::string::npos);
}

TEST_CASE("nccl communicator: sums and broadcasts of every type") {
  // Ranks hold 1 and 2: the sum is 3; root 1's value is 2.
  double doubles[2];
  int64_t longs[2];
  float floats[2];
  uint16_t halves[2];
  int32_t ints[2];
  uint8_t bytes[2];
  CHECK(run([&](Rank& rank) {
          const int r = rank.world->rank();
          const auto share = [&](DType dtype) {
            rank.world->broadcast(Purpose::kGradients, rank.device->stream(), rank.memory.data(), 1,
                                  dtype, 1);
          };
          rank.put(1.0 + r), rank.sum(DType::kFloat64), doubles[r] = rank.get<double>();
          rank.put(int64_t{1} + r), rank.sum(DType::kInt64), longs[r] = rank.get<int64_t>();
          rank.put(1.0f + r), rank.sum(DType::kFloat32), floats[r] = rank.get<float>();
          rank.put(static_cast<uint16_t>(r == 0 ? 0x3f80 : 0x4000)), rank.sum(DType::kBFloat16);
          halves[r] = rank.get<uint16_t>();
          rank.put(int32_t{1} + r), share(DType::kInt32), ints[r] = rank.get<int32_t>();
          rank.put(static_cast<uint8_t>(1 + r)), share(DType::kUint8);
          bytes[r] = rank.get<uint8_t>();
        }) == "");
  for (int r = 0; r < 2; ++r) {
    CHECK(doubles[r] == 3.0);
    CHECK(longs[r] == 3);
    CHECK(floats[r] == 3.0f);
    CHECK(halves[r] == 0x4040);  // 3.0
    CHECK(ints[r] == 2);
    CHECK(bytes[r] == 2);
  }
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("nccl communicator: a rank that throws ends the one that waits for it") {
  const std::string error = run([](Rank& rank) {
    if (rank.world->rank() == 1) throw DataError("a file is gone");
    rank.sum(DType::kFloat32);
  });
  check_holds(error, "a file is gone\n");
  take_faults();
}

TEST_CASE("nccl communicator: an abort is told to all, and nothing can be started after it") {
  const std::string error = run([](Rank& rank) {
    if (rank.world->rank() == 1) rank.world->abort(5, "enough");
    rank.sum(DType::kFloat32);
    rank.sum(DType::kFloat32);
  });
  CHECK_FALSE(error.empty());
  take_faults();
}

TEST_CASE("nccl communicator: ranks that ask for different sums") {
  check_holds(run([](Rank& rank) { rank.sum(DType::kFloat32, 1 + rank.world->rank()); }),
              "is mismatched: rank 0 asks for all-reduce of 1");
  check_holds(take_faults().at(0), "is mismatched");
}

TEST_CASE("nccl communicator: a collective that one rank leaves out") {
  set_collective_timeout(0.2);
  const std::string error = run([](Rank& rank) {
    if (rank.world->rank() == 0) rank.sum(DType::kFloat32);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  });
  set_collective_timeout(30.0);
  check_holds(error, "ranks 0 came, ranks 1 did not");
  take_faults();
}

TEST_CASE("nccl communicator: calls that fail name themselves") {
  fail_next("ncclGetUniqueId", 2);  // ncclSystemError
  check_holds(run([](Rank&) {}), "ncclGetUniqueId failed: unhandled system error");
  fail_next("ncclCommInitRankConfig", 2);
  check_holds(run([](Rank&) {}), "ncclCommInitRankConfig of world failed");
  fail_next("ncclAllReduce", 3);  // ncclInternalError
  check_holds(run([](Rank& rank) { rank.sum(DType::kFloat32); }), "failed: internal error");
  fail_next("ncclCommSplit", 3);
  check_holds(run([](Rank& rank) { rank.world->split(0, "group"); }), "ncclCommSplit into group");
  take_faults();
}

TEST_CASE("nccl communicator: a sum that nobody waits for") {
  CHECK(run([](Rank& rank) {
          rank.put(1.0f);
          rank.world->start_all_reduce(Purpose::kGradients, rank.device->stream(),
                                       rank.memory.data(), 1, DType::kFloat32);
          if (rank.get<float>() != 2.0f) throw std::logic_error("not the sum");
        }) == "");
  CHECK_THAT(take_faults(), faults({}));
}

}  // namespace
}  // namespace ab::standin
