#include "engine/arena.h"

#include "engine/tensor.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"

using namespace ab;

namespace {

struct Fixture {
  std::unique_ptr<Device> device = Device::create(test_device());
  Arena arena{*device};

  // Lives: a (0..3), b (1..2), c (after b died, may take its place).
  void step(int64_t a_size, int64_t b_size, int64_t c_size) {
    Tensor a(arena, {a_size}, DType::kUint8);
    { Tensor b(arena, {b_size}, DType::kUint8); }
    Tensor c(arena, {c_size}, DType::kUint8);
  }
};

}  // namespace

TEST_CASE("the second step of the same shape allocates nothing") {
  Fixture f;
  f.step(1000, 5000, 4000);
  f.arena.end_step();
  const int64_t before = f.device->memory().allocations;
  for (int i = 0; i < 3; ++i) {
    f.step(1000, 5000, 4000);
    f.arena.end_step();
  }
  REQUIRE(f.device->memory().allocations == before);
}

TEST_CASE("blocks that never live together share memory") {
  Fixture f;
  f.step(1024, 4096, 4096);
  f.arena.end_step();
  // 1024 + max(4096, 4096): b and c take turns.
  REQUIRE(f.arena.slab_bytes() == 1024 + 4096);
  REQUIRE(f.arena.peak_live_bytes() == 1024 + 4096);
}

TEST_CASE("sizes are rounded up to 64 bytes, and an empty tensor still has an address") {
  Fixture f;
  {
    Tensor odd(f.arena, {65}, DType::kUint8), empty(f.arena, {0}, DType::kFloat32);
    REQUIRE(odd);
    REQUIRE(empty);
  }
  f.arena.end_step();
  REQUIRE(f.arena.slab_bytes() == 128 + 64);
}

TEST_CASE("a step that departs from the recorded one gets memory of its own") {
  Fixture f;
  f.step(1024, 4096, 4096);
  f.arena.end_step();
  {
    Tensor a(f.arena, {1024}, DType::kUint8);
    Tensor b(f.arena, {4096}, DType::kUint8);
    Tensor c(f.arena, {4096}, DType::kUint8);  // b still lives: its place may not be handed out
    REQUIRE(!(b.data() == c.data()));
    std::vector<uint8_t> ones(4096, 1), twos(4096, 2), back(4096);
    Runtime& runtime = f.device->runtime();
    runtime.copy_to_device(f.device->stream(), b.data(), ones.data(), 4096);
    runtime.copy_to_device(f.device->stream(), c.data(), twos.data(), 4096);
    runtime.copy_to_host(f.device->stream(), back.data(), b.data(), 4096);
    REQUIRE(back == ones);
  }
  f.arena.end_step();
  REQUIRE(f.arena.slab_bytes() == 1024 + 4096 + 4096);
}

TEST_CASE("a tensor that outlives its step is an error") {
  Fixture f;
  Tensor kept(f.arena, {10}, DType::kFloat32);
  REQUIRE_THROWS_AS(f.arena.end_step(), std::logic_error);
}

TEST_CASE("all memory is given back") {
  auto device = Device::create(test_device());
  {
    Arena arena(*device);
    { Tensor t(arena, {int64_t{3} << 20}, DType::kFloat32); }  // large: mapped, not from the heap
    arena.end_step();
    REQUIRE(device->memory().bytes == size_t{12} << 20);
  }
  REQUIRE(device->memory().bytes == 0);
  REQUIRE(device->memory().peak_bytes == size_t{12} << 20);
}

TEST_CASE("a dry device hands out distinct addresses and counts bytes") {
  auto device = Device::create(DeviceKind::kDry);
  const DevicePtr a = device->allocate(100), b = device->allocate(100);
  REQUIRE(!(a == b));
  REQUIRE(device->memory().bytes == 200);
}
