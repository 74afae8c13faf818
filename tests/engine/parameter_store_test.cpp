#include "engine/parameter_store.h"

#include "tests/catch.h"
#include "tests/device_under_test.h"

using namespace ab;

namespace {

void write(Device& device, const Tensor& t, float first) {
  std::vector<float> values(static_cast<size_t>(t.elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = first + static_cast<float>(i);
  device.runtime().copy_to_device(device.stream(), t.data(), values.data(), t.bytes());
}

std::vector<float> read(Device& device, const Tensor& t) {
  std::vector<float> values(static_cast<size_t>(t.elements()));
  device.runtime().copy_to_host(device.stream(), values.data(), t.data(), t.bytes());
  return values;
}

}  // namespace

TEST_CASE("present parameters lie side by side in registration order, trainable ones first") {
  auto device = Device::create(test_device());
  ParameterStore store(*device, DType::kFloat32);
  Parameter& a = store.add("a", {2, 3}, Role::kWeight);
  Parameter& b = store.add("b", {5}, Role::kBias);
  Parameter& c = store.add("c", {7}, Role::kBias);
  b.trainable = false;
  store.layout();
  REQUIRE(a.value_offset == 0);
  REQUIRE(c.value_offset == 6);
  REQUIRE(b.value_offset == 13);
  REQUIRE(c.gradient_offset == 6);
  REQUIRE(!b.gradient);
  REQUIRE(store.values().elements() == 18);
  REQUIRE(store.trainable_elements() == 13);
}

TEST_CASE("a layout change keeps what stays and reports the moves of trainable parameters") {
  auto device = Device::create(test_device());
  ParameterStore store(*device, DType::kFloat32);
  Parameter& w = store.add("w", {4, 4}, Role::kWeight);
  Parameter& w_a = store.add("w.A", {4, 1}, Role::kWeight);
  Parameter& bias = store.add("bias", {3}, Role::kBias);
  Parameter& mean = store.add_buffer("mean", {2});
  w_a.present = false;
  REQUIRE(store.layout().empty());  // nothing has a past
  write(*device, bias.value, 1.0f);
  write(*device, mean.value, 5.0f);

  w.present = false;
  w_a.present = true;
  w_a.shape = {4, 2};
  const std::vector<Move> moves = store.layout();
  REQUIRE(moves.size() == 1);
  REQUIRE(moves[0].parameter == &bias);
  REQUIRE(moves[0].from == 16);
  REQUIRE(moves[0].to == 8);
  REQUIRE(read(*device, bias.value) == std::vector<float>{1, 2, 3});
  REQUIRE(read(*device, w_a.value) == std::vector<float>(8, 0.0f));
  REQUIRE(read(*device, mean.value) == std::vector<float>{5, 6});
  REQUIRE(!w.value);
}

TEST_CASE("bf16 compute copies follow the masters") {
  auto device = Device::create(test_device());
  ParameterStore store(*device, DType::kBFloat16);
  Parameter& w = store.add("w", {2}, Role::kWeight);
  store.layout();
  write(*device, w.value, 1.0f);  // 1, 2: exact in bf16
  store.refresh_compute(device->stream());
  REQUIRE(w.compute.dtype() == DType::kBFloat16);
  uint16_t bits[2];
  device->runtime().copy_to_host(device->stream(), bits, w.compute.data(), sizeof bits);
  REQUIRE(bits[0] == 0x3f80);  // 1.0
  REQUIRE(bits[1] == 0x4000);  // 2.0
}

TEST_CASE("a name is taken once") {
  auto device = Device::create(test_device());
  ParameterStore store(*device, DType::kFloat32);
  store.add("w", {1}, Role::kWeight);
  REQUIRE_THROWS_AS(store.add("w", {1}, Role::kWeight), std::logic_error);
}
