// How NCCL's communicators come to be: non-blocking, so that a rank that never comes is noticed
// while the others wait for it, and with our names.
#include <chrono>
#include <thread>

#include "distributed/communicator.h"
#include "engine/device.h"
#include "engine/error.h"
#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"

namespace ab::standin {
namespace {

// Runs `body` on two ranks; the errors of each as text, empty where there was none.
std::vector<std::string> errors_of(const std::function<void(Communicator& below)>& body) {
  std::vector<std::string> errors(2);
  try {
    run_local_ranks(2, 2, [&](Communicator& below) {
      try {
        body(below);
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(below.rank())] = error.what();
        throw;
      }
    });
  } catch (const std::exception&) {  // told above
  }
  return errors;
}

TEST_CASE("nccl: a rank that never comes to the initialisation does not hang the others") {
  // A blocking call would stay inside NCCL for the collective timeout of 30 s and come back as its
  // error; a polled one ends with what happened to the other rank.
  const auto errors = errors_of([](Communicator& below) {
    if (below.rank() == 1) throw DataError("a file is gone");
    const auto device = Device::create(DeviceKind::kCuda, below.rank());
    device_world(below, *device, {60.0});
  });
  CHECK(errors[1] == "a file is gone");
  INFO(errors[0]);
  CHECK(errors[0].find("ncclCommInitRankConfig") == std::string::npos);
  CHECK(errors[0].find("rank 1") != std::string::npos);
  take_faults();
}

TEST_CASE("nccl: communicators carry our names") {
  for (const bool split : {false, true}) {
    set_collective_timeout(0.3);
    errors_of([&](Communicator& below) {
      const auto device = Device::create(DeviceKind::kCuda, below.rank());
      const Buffer memory(*device, 256);
      const auto world = device_world(below, *device, {60.0});
      const auto group = split ? world->split(0, "peers") : nullptr;
      if (below.rank() == 0)
        (split ? group : world)
            ->start_all_reduce(Purpose::kGradients, device->stream(), memory.data(), 1,
                               DType::kFloat32)
            ->wait();
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    });
    set_collective_timeout(30.0);
    const std::vector<std::string> told = take_faults();
    REQUIRE(!told.empty());
    INFO(told[0]);
    CHECK(told[0].find(split ? "of peers" : "of world") != std::string::npos);
    CHECK(told[0].find("ranks 0 came, ranks 1 did not") != std::string::npos);
  }
}

}  // namespace
}  // namespace ab::standin
