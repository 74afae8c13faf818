// A factored weight computes one function in three ways: as the dense W = outer inner it stands
// for, as one product built each step, and as two thin products. Values and gradients must agree.
#include "layers/factored_weight.h"

#include <cmath>

#include "engine/gemm.h"
#include "engine/ops/pooling.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"

using namespace ab;

namespace {

std::vector<float> numbers(int64_t count, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = uniform(philox(seed, 0, i).x) - 0.5f;
  return values;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

// Sums of up to 2 * 288 rounded products: far above fp32's error there, far below any real mistake.
constexpr double kRounding = 2e-6;

struct Bench {
  std::unique_ptr<Device> device = Device::create(test_device());
  Arena arena{*device};
  Tape tape;
  ParameterStore store{*device, DType::kFloat32};
  Network network{store, {}};

  void set(Parameter& p, uint64_t seed) {
    const auto values = numbers(p.shape.elements(), seed);
    device->runtime().copy_to_device(device->stream(), p.value.data(), values.data(),
                                     p.value.bytes());
  }
  std::vector<float> read(const Tensor& t) {
    std::vector<float> values(static_cast<size_t>(t.elements()));
    device->runtime().copy_to_host(device->stream(), values.data(), t.data(), t.bytes());
    return values;
  }

  struct Result {
    std::vector<float> y, dx, d_outer, d_inner;
  };
  // forward(x) and backward of L = sum(c * y) with fixed numbers c.
  template <class Layer>
  Result run(Layer& layer, FactoredWeight& weight, const Shape& x_shape) {
    Result result;
    Context context(*device, arena);
    context.tape = &tape;
    context.training = true;
    {
      Tensor x(arena, x_shape, DType::kFloat32);
      const auto values = numbers(x.elements(), 7);
      device->runtime().copy_to_device(device->stream(), x.data(), values.data(), x.bytes());
      tape.track(x);
      Tensor dx;
      tape.record([&] { dx = tape.take_gradient(x.slot); });
      const Tensor y = layer.forward(context, x);
      result.y = read(y);
      const auto c = numbers(y.elements(), 8);
      Tensor dy(arena, y.shape(), DType::kFloat32);
      device->runtime().copy_to_device(device->stream(), dy.data(), c.data(), dy.bytes());
      tape.give_gradient({}, y, std::move(dy));
      tape.backward();
      result.dx = read(dx);
    }
    if (weight.outer().gradient) result.d_outer = read(weight.outer().gradient);
    if (weight.inner().gradient) result.d_inner = read(weight.inner().gradient);
    arena.end_step();
    return result;
  }

  // W = outer inner as a dense weight, for the reference.
  void make_dense_from(FactoredWeight& from, FactoredWeight& to) {
    multiply(arena, device->stream(), from.outer().value, false, from.inner().value, false,
             to.dense().value.reshaped({to.out(), to.in()}));
    arena.end_step();
  }
};

template <class Factored, class Dense>
void check_three_ways(Bench& b, Factored& factored, Dense& dense, const Shape& x) {
  FactoredWeight &fw = *b.network.weights[0], &dw = *b.network.weights[1];
  fw.become_factored(3);
  b.store.layout();
  b.set(fw.outer(), 1);
  b.set(fw.inner(), 2);
  b.make_dense_from(fw, dw);
  const auto reference = b.run(dense, dw, x);
  // d outer = dW inner^T, d inner = outer^T dW, by their definition.
  const Tensor dw_matrix = dw.dense().gradient.reshaped({dw.out(), dw.in()});
  std::vector<float> d_outer, d_inner;
  {
    Tensor o(b.arena, {fw.out(), 3}, DType::kFloat32), i(b.arena, {3, fw.in()}, DType::kFloat32);
    multiply(b.arena, b.device->stream(), dw_matrix, false, fw.inner().value, true, o);
    multiply(b.arena, b.device->stream(), fw.outer().value, true, dw_matrix, false, i);
    d_outer = b.read(o);
    d_inner = b.read(i);
  }
  b.arena.end_step();
  for (const FactorForward way : {FactorForward::kDense, FactorForward::kThin}) {
    INFO("way " << static_cast<int>(way));
    fw.forward = way;
    const auto result = b.run(factored, fw, x);
    CHECK(distance(result.y, reference.y) < kRounding);
    CHECK(distance(result.dx, reference.dx) < kRounding);
    CHECK(distance(result.d_outer, d_outer) < kRounding);
    CHECK(distance(result.d_inner, d_inner) < kRounding);
  }
}

// A convolution over a map that is pooled to the kernel's size: by folding the filters, and as
// said.
struct Folded : Conv2d {
  using Conv2d::Conv2d;
  Tensor forward(Context& context, const Tensor& x) { return forward_pooled(context, x); }
};
struct Enlarged : Conv2d {
  using Conv2d::Conv2d;
  Tensor forward(Context& context, const Tensor& x) {
    return Conv2d::forward(context, adaptive_average_pool(context, x, 3, 3));
  }
};

}  // namespace

TEST_CASE("linear: dense weight, built product and thin products agree") {
  Bench b;
  const bool tall = GENERATE(true, false);
  const int64_t in = tall ? 5 : 12, out = tall ? 11 : 7;
  Linear factored(b.network, "f", in, out, false), dense(b.network, "d", in, out, false);
  check_three_ways(b, factored, dense, {4, 3, in});
}

TEST_CASE("convolution: dense filters, built product and thin convolutions agree") {
  Bench b;
  Conv2d factored(b.network, "f", {8, 6, 3, 2, 1}), dense(b.network, "d", {8, 6, 3, 2, 1});
  check_three_ways(b, factored, dense, {2, 7, 5, 8});
}

TEST_CASE("convolution of a pooled map: filters folded to the map's size agree with the pooling") {
  Bench b;
  const auto [height, width] =
      GENERATE(std::pair{1, 1}, std::pair{2, 2}, std::pair{1, 5}, std::pair{4, 2}, std::pair{5, 4});
  Folded factored(b.network, "f", {8, 6, 3});
  Enlarged dense(b.network, "d", {8, 6, 3});
  const Shape x{2, height, width, 8};
  check_three_ways(b, factored, dense, x);
  FactoredWeight &fw = *b.network.weights[0], &dw = *b.network.weights[1];
  const auto reference = b.run(dense, dw, x);
  const auto d_reference = b.read(dw.dense().gradient);
  b.make_dense_from(fw, dw);
  const std::vector<float> weight = b.read(dw.dense().value);
  fw.become_dense();
  b.store.layout();
  for (FactoredWeight* w : {&fw, &dw})
    b.device->runtime().copy_to_device(b.device->stream(), w->dense().value.data(), weight.data(),
                                       w->dense().value.bytes());
  const auto result = b.run(factored, fw, x);
  CHECK(distance(result.y, reference.y) < kRounding);
  CHECK(distance(result.dx, reference.dx) < kRounding);
  CHECK(distance(b.read(fw.dense().gradient), d_reference) < kRounding);
}

TEST_CASE("a folded filter multiplies once for each place of the map") {
  Bench b;
  Folded layer(b.network, "l", {8, 6, 3});
  b.store.layout();
  b.device->flops = 0.0;
  b.run(layer, *b.network.weights[0], {2, 2, 2, 8});
  REQUIRE(b.device->flops == 3 * 2.0 * 2 * 6 * (2 * 2 * 8));  // forward, dx, dw
}

TEST_CASE("the paper's orientation: A is the larger factor") {
  Bench b;
  FactoredWeight tall(b.network, "tall", {10, 4}, Role::kWeight);
  FactoredWeight wide(b.network, "wide", {4, 3, 3, 2}, Role::kWeight);
  REQUIRE(&tall.outer() == &tall.a());
  REQUIRE(wide.m() == 18);
  REQUIRE(wide.n() == 4);
  REQUIRE(&wide.inner() == &wide.a());
  wide.become_factored(2);
  REQUIRE(wide.a().shape == Shape{2, 18});
  REQUIRE(wide.b().shape == Shape{4, 2});
}

TEST_CASE("a frozen factor has no gradient and costs no backward product") {
  Bench b;
  Linear layer(b.network, "l", 64, 32, false);
  FactoredWeight& w = *b.network.weights[0];
  w.become_factored(4);
  w.forward = FactorForward::kThin;
  const auto flops = [&] {
    b.store.layout();
    b.device->flops = 0.0;
    b.run(layer, w, {16, 64});
    return b.device->flops;
  };
  // Per row: forward k(in+out) and backward dx the same, plus k*out or k*in for a trained factor.
  const double both = flops();
  REQUIRE(both == 2.0 * 16 * 4 * (3 * (64 + 32)));
  w.outer().trainable = false;
  const double inner_only = flops();
  REQUIRE(!w.outer().gradient);
  REQUIRE(inner_only == both - 2.0 * 16 * 4 * 32);
  w.outer().trainable = true;
  w.inner().trainable = false;
  REQUIRE(flops() == both - 2.0 * 16 * 4 * 64);
}

TEST_CASE("auto takes the way with fewer operations") {
  Bench b;
  FactoredWeight w(b.network, "w", {64, 64}, Role::kWeight);
  REQUIRE(!w.takes_thin(1000));  // dense
  w.become_factored(2);
  REQUIRE(w.takes_thin(1000));
  // At k = 64 a thin pass costs twice a dense one.
  w.become_factored(64);
  REQUIRE(!w.takes_thin(1000));
  w.forward = FactorForward::kThin;
  REQUIRE(w.takes_thin(1000));
}
