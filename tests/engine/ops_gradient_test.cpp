// The differentiable operations on the tape: gradients of a loss through chains of operations
// against central differences of the same forward pass in float. Step h = 1/512 on losses of about
// 1: rounding a few times 2^-24 / h = 3e-5, truncation h^2 = 4e-6, together below 5e-4; a wrong or
// missing term is of the order of 0.05. The fixed inputs keep relu's arguments further than h from
// the kink.
#include <cmath>
#include <functional>
#include <vector>

#include "engine/ops/activation.h"
#include "engine/ops/attention.h"
#include "engine/ops/cast.h"
#include "engine/ops/dropout.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/linear.h"
#include "engine/ops/loss.h"
#include "engine/ops/residual.h"
#include "engine/ops/tokens.h"
#include "kernels/philox.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"

namespace ab {
namespace {

using Network = std::function<Tensor(Context&, const Tensor& x)>;  // returns the loss

class Bench {
 public:
  explicit Bench(const Shape& input) : input_(input), memory_(*device_, input.elements() * 4) {
    set(Tensor(memory_.data(), input, DType::kFloat32), 98);
  }

  Parameter& parameter(const std::string& name, int64_t size) {
    return store_.add(name, {size}, Role::kNorm);
  }
  Parameter& weight(int64_t out, int64_t in) {
    return store_.add("weight", {out, in}, Role::kWeight);
  }
  void layout() {
    store_.layout();
    uint64_t seed = 0;
    for (Parameter& p : store_.parameters()) set(p.value, ++seed);
  }

  // Gradient of the input, and of the trainable parameters where the store keeps them.
  std::vector<float> gradients(const Network& network) {
    std::vector<float> dx(input_.elements());
    Tape tape;
    tape.set_listener([this](Parameter&) { ++complete_; });
    {
      Context context = make_context(&tape);
      Tensor x(memory_.data(), input_, DType::kFloat32);
      tape.track(x);
      tape.record([&, slot = x.slot] {
        const Tensor gradient = tape.take_gradient(slot);
        REQUIRE(gradient);
        read(gradient, dx);
      });
      network(context, x);
    }
    tape.backward();
    arena_.end_step();
    return dx;
  }

  // The loss with one element of a tensor moved by `step`.
  double loss(const Network& network, const Tensor& t, int64_t element, float step) {
    std::vector<float> values(t.elements());
    read(t, values);
    const std::vector<float> before = values;
    values[element] += step;
    write(t, values);
    std::vector<float> result(1);
    {
      Context context = make_context(nullptr);
      read(network(context, Tensor(memory_.data(), input_, DType::kFloat32)), result);
    }
    arena_.end_step();
    write(t, before);
    return result[0];
  }

  void check(const Network& network) {
    const std::vector<float> dx = gradients(network);
    compare(network, Tensor(memory_.data(), input_, DType::kFloat32), dx, "x");
    for (Parameter& p : store_.parameters()) {
      if (!p.trainable) continue;
      std::vector<float> dp(p.gradient.elements());
      read(p.gradient, dp);
      compare(network, p.value, dp, p.name);
    }
  }

  void read(const Tensor& t, std::vector<float>& to) {
    device_->runtime().copy_to_host(device_->stream(), to.data(), t.data(), t.bytes());
  }
  void write(const Tensor& t, const std::vector<float>& from) {
    device_->runtime().copy_to_device(device_->stream(), t.data(), from.data(), t.bytes());
  }
  int complete() const { return complete_; }

  Tensor labels(int64_t rows, int classes) {
    std::vector<int32_t> values(rows);
    for (int64_t i = 0; i < rows; ++i) values[i] = static_cast<int32_t>(i * 7 % classes);
    if (labels_.bytes() < rows * sizeof(int32_t))
      labels_ = Buffer(*device_, rows * sizeof(int32_t));
    device_->runtime().copy_to_device(device_->stream(), labels_.data(), values.data(),
                                      rows * sizeof(int32_t));
    return {labels_.data(), {rows}, DType::kInt32};
  }

 private:
  Context make_context(Tape* tape) {
    Context context(*device_, arena_);
    context.tape = tape;
    context.training = true;
    context.random = {5, 1000};
    return context;
  }

  // Uniform in [-1, 1).
  void set(const Tensor& t, uint64_t seed) {
    std::vector<float> values(t.elements());
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = 2.0f * uniform(philox(seed, 0, i).x) - 1.0f;
    write(t, values);
  }

  void compare(const Network& network, const Tensor& t, const std::vector<float>& gradient,
               const std::string& name) {
    constexpr float kStep = 1.0f / 512;
    for (int64_t i = 0; i < t.elements(); ++i) {
      const double slope =
          (loss(network, t, i, kStep) - loss(network, t, i, -kStep)) / (2.0 * kStep);
      INFO(name << "[" << i << "]");
      CHECK(std::fabs(slope - gradient[i]) < 5e-4);
    }
  }

  std::unique_ptr<Device> device_ = Device::create(test_device());
  Arena arena_{*device_};
  ParameterStore store_{*device_, DType::kFloat32};
  Shape input_;
  Buffer memory_;
  Buffer labels_;
  int complete_ = 0;
};

}  // namespace

TEST_CASE("cross-entropy starts backward by itself") {
  Bench bench({6, 5});
  bench.check(
      [&](Context& c, const Tensor& x) { return cross_entropy(c, x, bench.labels(6, 5), 0.1f); });
}

TEST_CASE(
    "layer norm, linear maps with bias and GELU, and a residual sum have the right gradients") {
  Bench bench({4, 6});
  Parameter& w = bench.weight(6, 6);
  Parameter& gamma = bench.parameter("gamma", 6);
  Parameter& beta = bench.parameter("beta", 6);
  Parameter& first = bench.parameter("first", 6);
  Parameter& second = bench.parameter("second", 6);
  bench.layout();
  bench.check([&](Context& c, const Tensor& x) {
    Tensor h = linear_gelu(c, layer_norm(c, x, gamma, beta, 0.1f), w, &first);
    h = linear(c, h, w, &second);
    return cross_entropy(c, add(c, x, h), bench.labels(4, 6), 0.1f);
  });
  CHECK(bench.complete() == 5);
}

TEST_CASE("a parameter used twice collects both gradients and is complete once") {
  Bench bench({3, 4});
  Parameter& bias = bench.parameter("bias", 4);
  Parameter& w = bench.weight(4, 4);
  bench.layout();
  bench.check([&](Context& c, const Tensor& x) {
    Tensor h = linear_gelu(c, add(c, x, x), w, &bias);
    h = linear(c, h, w, &bias);
    return cross_entropy(c, h, bench.labels(3, 4), 0.0f);
  });
  CHECK(bench.complete() == 2);
}

TEST_CASE("dropout and drop path use one mask forward and backward") {
  Bench bench({5, 3, 4});
  bench.check([&](Context& c, const Tensor& x) {
    const Tensor h = add_drop_path(c, x, dropout(c, gelu(c, x), 0.4f), 0.5f);
    return cross_entropy(c, h.reshaped({15, 4}), bench.labels(15, 4), 0.1f);
  });
}

TEST_CASE("attention has the right gradients for q, k and v") {
  Bench bench({2, 5, 3 * 6});
  bench.check([&](Context& c, const Tensor& x) {
    return cross_entropy(c, attention(c, x, 2).reshaped({10, 6}), bench.labels(10, 6), 0.0f);
  });
}

TEST_CASE("attention of the class token alone is the first row of the whole") {
  Bench bench({2, 5, 3 * 6});
  const Network alone = [&](Context& c, const Tensor& x) {
    const Tensor y = attention(c, x, 2, Queries::kClassToken);
    CHECK(y.shape() == Shape{2, 6});
    return cross_entropy(c, y, bench.labels(2, 6), 0.0f);
  };
  const Network whole = [&](Context& c, const Tensor& x) {
    return cross_entropy(c, class_token_of(c, attention(c, x, 2)), bench.labels(2, 6), 0.0f);
  };
  bench.check(alone);
  const std::vector<float> got = bench.gradients(alone), wanted = bench.gradients(whole);
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i] == Approx(wanted[i]).margin(1e-7));
    const size_t token = i / 18 % 5, column = i % 18;
    if (token > 0 && column < 6) CHECK(got[i] == 0.0f);  // who did not ask has no dq
  }
}

TEST_CASE("attention over equal keys is the mean of the values") {
  // q = 0: all scores equal, each token's output is the mean of v over the tokens, head by head.
  constexpr int64_t kTokens = 3, kDim = 4;
  const auto device = Device::create(test_device());
  Arena arena(*device);
  {
    Context context(*device, arena);
    const Tensor qkv = context.make({1, kTokens, 3 * kDim});
    std::vector<float> values(kTokens * 3 * kDim, 0.0f), y(kTokens * kDim);
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t c = 0; c < kDim; ++c) values[t * 3 * kDim + 2 * kDim + c] = 10.0f * c + t;
    device->runtime().copy_to_device(device->stream(), qkv.data(), values.data(), qkv.bytes());
    const Tensor out = attention(context, qkv, 2);
    CHECK(out.shape() == Shape{1, kTokens, kDim});
    device->runtime().copy_to_host(device->stream(), y.data(), out.data(), out.bytes());
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t c = 0; c < kDim; ++c)
        CHECK(y[t * kDim + c] == Approx(10.0 * c + 1.0).epsilon(1e-6));  // mean of t = 0, 1, 2
  }
  arena.end_step();
}

TEST_CASE("relu cuts the gradient, and a frozen bias gets none") {
  Bench bench({4, 5});
  Parameter& frozen = bench.parameter("frozen", 5);
  Parameter& bias = bench.parameter("bias", 5);
  Parameter& w = bench.weight(5, 5);
  frozen.trainable = false;
  bench.layout();
  bench.check([&](Context& c, const Tensor& x) {
    Tensor h = relu(c, linear(c, add(c, x, x), w, &bias));
    h = relu(c, linear(c, add(c, x, h), w, &frozen));
    return cross_entropy(c, h, bench.labels(4, 5), 0.1f);
  });
  CHECK(bench.complete() == 2);
  CHECK_FALSE(frozen.gradient);
}

TEST_CASE("a cast returns the gradient in the type of its input") {
  // Through bf16 the loss moves in steps of 2^-8, too coarse for differences: the gradient of the
  // sum's cast equals the one without cast, rounded once to bf16 (2^-9 relative).
  Bench bench({4, 5});
  const auto direct = bench.gradients(
      [&](Context& c, const Tensor& x) { return cross_entropy(c, x, bench.labels(4, 5), 0.1f); });
  const auto through = bench.gradients([&](Context& c, const Tensor& x) {
    const Tensor half = cast(c, x, DType::kBFloat16);
    CHECK(half.dtype() == DType::kBFloat16);
    return cross_entropy(c, half, bench.labels(4, 5), 0.1f);
  });
  for (size_t i = 0; i < direct.size(); ++i)
    CHECK(std::fabs(direct[i] - through[i]) < 0.01 * std::fabs(direct[i]) + 1e-3);
}

TEST_CASE("outside training dropout and drop path are absent") {
  const auto device = Device::create(test_device());
  Arena arena(*device);
  {
    Context context(*device, arena);
    const Tensor x = context.make({2, 3});
    CHECK(dropout(context, x, 0.5f).data() == x.data());
    CHECK(context.random.stream == 0);
  }
  arena.end_step();
}

}  // namespace ab
