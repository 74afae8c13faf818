// Pooling, tokens, accuracy and image preparation on the tape, with numbers worked out by hand.
#include "engine/ops/accuracy.h"
#include "engine/ops/image_prepare.h"
#include "engine/ops/pooling.h"
#include "engine/ops/tokens.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"

using namespace ab;

namespace {

using Floats = std::vector<float>;

struct Bench {
  std::unique_ptr<Device> device = Device::create(test_device());
  Arena arena{*device};
  Tape tape;
  ParameterStore store{*device, DType::kFloat32};
  Context context{*device, arena};
  Floats dx;

  Bench() { context.tape = &tape; }

  Tensor make(const Shape& shape, const Floats& values) {
    Tensor t = context.make(shape, DType::kFloat32);
    put(t, values);
    return t;
  }
  // An input whose gradient ends up in dx.
  Tensor watched(const Shape& shape, const Floats& values) {
    Tensor t = make(shape, values);
    tape.track(t);
    tape.record([this, slot = t.slot] {
      const Tensor gradient = tape.take_gradient(slot);
      if (gradient) dx = get(gradient);
    });
    return t;
  }
  void backward(const Tensor& y, const Floats& dy) {
    tape.give_gradient(context.stream, y, make(y.shape(), dy));
    tape.backward();
  }
  void put(const Tensor& t, const Floats& values) {
    REQUIRE(t.elements() == static_cast<int64_t>(values.size()));
    device->runtime().copy_to_device(context.stream, t.data(), values.data(), t.bytes());
  }
  template <class T>
  Buffer upload(const std::vector<T>& values) {
    Buffer memory(*device, values.size() * sizeof(T));
    device->runtime().copy_to_device(context.stream, memory.data(), values.data(), memory.bytes());
    return memory;
  }
  Floats get(const Tensor& t) {
    Floats values(t.elements());
    device->runtime().copy_to_host(context.stream, values.data(), t.data(), t.bytes());
    return values;
  }
};

}  // namespace

TEST_CASE("max pooling routes gradients to the winners") {
  Bench b;
  const Tensor x = b.watched({1, 2, 4, 1}, {1, 5, 2, 2, 0, 3, 8, 1});
  const Tensor y = max_pool(b.context, x, 2, 2);
  CHECK(y.shape() == Shape{1, 1, 2, 1});
  CHECK(b.get(y) == Floats{5, 8});
  b.backward(y, {10, 20});
  CHECK(b.dx == Floats{0, 10, 0, 0, 0, 0, 20, 0});
}

TEST_CASE("the global average spreads its gradient evenly") {
  Bench b;
  const Tensor x = b.watched({1, 2, 2, 2}, {1, 10, 2, 20, 3, 30, 6, 60});
  const Tensor y = global_average_pool(b.context, x);
  CHECK(y.shape() == Shape{1, 2});
  CHECK(b.get(y) == Floats{3, 30});
  b.backward(y, {4, 8});
  CHECK(b.dx == Floats{1, 2, 1, 2, 1, 2, 1, 2});
}

TEST_CASE("one pixel is replicated, and collects what its copies receive") {
  Bench b;
  const Tensor x = b.watched({1, 1, 1, 1}, {3});
  const Tensor y = adaptive_average_pool(b.context, x, 2, 2);
  CHECK(b.get(y) == Floats{3, 3, 3, 3});
  b.backward(y, {1, 2, 3, 4});
  CHECK(b.dx == Floats{10});
}

TEST_CASE("tokens are assembled and the class token is read back") {
  Bench b;
  Parameter& token = b.store.add("class", {1, 1, 2}, Role::kEmbedding);
  Parameter& places = b.store.add("positions", {1, 2, 2}, Role::kEmbedding);
  b.store.layout();
  b.put(token.value, {1, 2});
  b.put(places.value, {10, 20, 30, 40});
  const Tensor x = b.watched({2, 1, 2}, {3, 4, 5, 6});
  const Tensor sequence = assemble_tokens(b.context, x, token, places);
  CHECK(b.get(sequence) == Floats{11, 22, 33, 44, 11, 22, 35, 46});
  const Tensor head = class_token_of(b.context, sequence);
  CHECK(b.get(head) == Floats{11, 22, 11, 22});
  // Only the class token's place gets a gradient, the sum over both samples.
  b.backward(head, {1, 2, 3, 4});
  CHECK(b.dx == Floats{0, 0, 0, 0});
  CHECK(b.get(token.gradient) == Floats{4, 6});
  CHECK(b.get(places.gradient) == Floats{4, 6, 0, 0});
}

TEST_CASE("a frozen class token has no gradient and is not waited for") {
  Bench b;
  Parameter& token = b.store.add("class", {1, 1, 1}, Role::kEmbedding);
  Parameter& places = b.store.add("positions", {1, 2, 1}, Role::kEmbedding);
  token.trainable = false;
  b.store.layout();
  b.put(token.value, {0});
  b.put(places.value, {0, 0});
  std::vector<std::string> ready;
  b.tape.set_listener([&](Parameter& parameter) { ready.push_back(parameter.name); });
  const Tensor y = assemble_tokens(b.context, b.make({1, 1, 1}, {7}), token, places);
  CHECK(b.get(y) == Floats{0, 7});
  b.backward(y, {1, 2});
  CHECK(b.get(places.gradient) == Floats{1, 2});
  CHECK(ready == std::vector<std::string>{"positions"});
}

TEST_CASE("inference records nothing") {
  Bench b;
  b.context.tape = nullptr;
  const Tensor x = b.make({1, 2, 2, 1}, {1, 2, 3, 4});
  CHECK(max_pool(b.context, x, 2, 2).slot == -1);
  CHECK(b.get(average_pool(b.context, x, 2, 2)) == Floats{2.5f});
  CHECK(b.tape.closures() == 0);
}

TEST_CASE("mismatched shapes are named") {
  Bench b;
  const Tensor flat = b.make({2, 2}, {1, 2, 3, 4});
  CHECK_THROWS_AS(max_pool(b.context, flat, 2, 2), std::invalid_argument);
  CHECK_THROWS_AS(class_token_of(b.context, flat), std::invalid_argument);
  CHECK_THROWS_AS(accuracy(b.context, flat, flat), std::invalid_argument);
  const Tensor image = b.watched({1, 2, 2, 1}, {1, 2, 3, 4});
  CHECK_THROWS_AS(patches(b.context, image, 2), std::invalid_argument);  // a gradient is wanted
  b.tape.clear();
}

TEST_CASE("images become patches, logits become hits") {
  Bench b;
  std::vector<uint8_t> pixels = {0, 255, 51, 102};
  ImagePrepare args;
  args.batch = 1, args.height = 2, args.width = 2, args.channels = 1;
  args.out_height = 2, args.out_width = 2;
  const Buffer memory = b.upload(pixels);
  const Tensor image = prepare_images(b.context, memory.data(), DevicePtr(), args);
  CHECK(image.shape() == Shape{1, 2, 2, 1});
  const Tensor tokens = patches(b.context, image, 2);
  CHECK(tokens.shape() == Shape{1, 1, 4});
  CHECK(b.get(tokens) == Floats{0.0f, 1.0f, 51.0f / 255.0f, 102.0f / 255.0f});
  const Buffer labels = b.upload(std::vector<int32_t>{1, 0});
  const Tensor hits =
      accuracy(b.context, b.make({2, 2}, {1, 2, 1, 2}), Tensor(labels.data(), {2}, DType::kInt32));
  CHECK(b.get(hits) == Floats{1, 2});
}
