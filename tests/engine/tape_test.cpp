#include "engine/tape.h"

#include <numeric>

#include "engine/ranges.h"
#include "engine/runtime_dry.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"

using namespace ab;

namespace {

struct Fixture {
  std::unique_ptr<Device> device = Device::create(test_device());
  Arena arena{*device};
  Tape tape;

  Tensor make(std::vector<float> values) {
    Tensor t(arena, {static_cast<int64_t>(values.size())}, DType::kFloat32);
    device->runtime().copy_to_device(device->stream(), t.data(), values.data(), t.bytes());
    return t;
  }
  std::vector<float> read(const Tensor& t) {
    std::vector<float> values(static_cast<size_t>(t.elements()));
    device->runtime().copy_to_host(device->stream(), values.data(), t.data(), t.bytes());
    return values;
  }
};

}  // namespace

TEST_CASE("closures run last to first, once") {
  Tape tape;
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) tape.record([&order, i] { order.push_back(i); });
  tape.backward();
  tape.backward();
  REQUIRE(order == std::vector<int>{2, 1, 0});
}

TEST_CASE("a closure's captures die right after it ran") {
  Tape tape;
  const auto held = std::make_shared<int>(0);
  long during = 0;
  tape.record([&] { during = held.use_count(); });
  tape.record([held] {});
  REQUIRE(held.use_count() == 2);
  tape.backward();
  REQUIRE(during == 1);  // the later closure had been destroyed when the earlier one ran
}

TEST_CASE("the first gradient is kept, later ones are added") {
  Fixture f;
  Tensor x = f.make({0, 0});
  f.tape.track(x);
  f.tape.give_gradient(f.device->stream(), x, f.make({1, 2}));
  f.tape.give_gradient(f.device->stream(), x, f.make({10, 20}));
  REQUIRE(f.read(f.tape.take_gradient(x)) == std::vector<float>{11, 22});
  REQUIRE(!f.tape.take_gradient(x));  // taken
}

TEST_CASE("a gradient that two tensors share is not added into") {
  Fixture f;
  Tensor x = f.make({0}), y = f.make({0});
  f.tape.track(x);
  f.tape.track(y);
  const Tensor shared = f.make({1});
  f.tape.give_gradient(f.device->stream(), x, shared);
  f.tape.give_gradient(f.device->stream(), y, shared);
  f.tape.give_gradient(f.device->stream(), x, f.make({10}));
  REQUIRE(f.read(f.tape.take_gradient(x)) == std::vector<float>{11});
  REQUIRE(f.read(f.tape.take_gradient(y)) == std::vector<float>{1});
}

TEST_CASE("a tensor that wants no gradient ignores it") {
  Fixture f;
  const Tensor x = f.make({1});
  f.tape.give_gradient(f.device->stream(), x, f.make({1}));
  REQUIRE(!f.tape.take_gradient(x));
}

TEST_CASE("the listener hears once, when the last use is done") {
  Tape tape;
  Parameter p;
  int heard = 0;
  tape.set_listener([&](Parameter&) { ++heard; });
  tape.use(p);
  tape.use(p);
  REQUIRE(tape.claim_gradient(p) == 0.0f);  // the first writer overwrites
  tape.finish_use(p);
  REQUIRE(heard == 0);
  REQUIRE(tape.claim_gradient(p) == 1.0f);  // the second one adds
  tape.finish_use(p);
  REQUIRE(heard == 1);
}

TEST_CASE("a parameter whose use ended without a gradient is an error, not an old gradient") {
  Tape tape;
  Parameter p;
  p.name = "w";
  tape.use(p);
  REQUIRE_THROWS_WITH(tape.finish_use(p), "no gradient reached w");
}

TEST_CASE("many closures reuse their pages") {
  Tape tape;
  int64_t sum = 0;
  for (int round = 0; round < 3; ++round) {
    for (int64_t i = 0; i < 10000; ++i) tape.record([&sum, i] { sum += i; });
    tape.backward();
  }
  REQUIRE(sum == 3 * 9999 * 10000 / 2);
}

namespace {

// Writes down the ranges that are opened and closed.
class RangeLog : public DryRuntime {
 public:
  void begin_range(const char* name) override { text += std::string("<") + name; }
  void end_range() override { text += ">"; }
  std::string text;
};

}  // namespace

TEST_CASE("backward opens a layer's range when it comes back to what the layer recorded") {
  const auto device = Device::create(DeviceKind::kDry);
  Arena arena(*device);
  Context context(*device, arena);
  RangeLog log;
  Tape tape;
  context.tape = &tape;
  const std::string block = "block", inner = "block.fc";
  const auto note = [&](const char* what) { tape.record([&log, what] { log.text += what; }); };
  note("a");
  {
    const LayerRange outer(context, block);
    note("b");
    {
      const LayerRange range(context, inner);
      note("c");
      note("d");
    }
    note("e");
  }
  note("f");
  tape.backward(&log);
  CHECK(log.text == "f<blocke><block.fcdc><blockb>a");
}
