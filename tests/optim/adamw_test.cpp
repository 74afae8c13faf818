// AdamW against updates worked out by hand, against the formula in double, and through layout
// changes.
#include "optim/adamw.h"

#include <cmath>

#include "kernels/gradient_scale.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"

using namespace ab;

namespace {

struct Model {
  std::unique_ptr<Device> device = Device::create(test_device());
  ParameterStore store{*device, DType::kFloat32};

  void write(const Tensor& to, const std::vector<float>& values) {
    REQUIRE(to.elements() == static_cast<int64_t>(values.size()));
    device->runtime().copy_to_device(device->stream(), to.data(), values.data(), to.bytes());
  }
  std::vector<float> read(const Tensor& from) {
    std::vector<float> values(from.elements());
    device->runtime().copy_to_host(device->stream(), values.data(), from.data(), from.bytes());
    return values;
  }
  Buffer scale{*device, sizeof(GradientScale)};
  void step(AdamW& adamw, double lr, float factor = 1.0f, bool finite = true) {
    const GradientScale now{factor, finite};
    device->runtime().copy_to_device(device->stream(), scale.data(), &now, sizeof now);
    adamw.begin_step(device->stream(), lr);
    adamw.step(device->stream(), scale.data());
  }
};

AdamWSettings settings(double decay, std::vector<std::string> exclude = {}) {
  AdamWSettings s;
  s.weight_decay = decay;
  s.decay_exclude = std::move(exclude);
  return s;
}

}  // namespace

TEST_CASE("first two AdamW updates worked out by hand") {
  Model model;
  Parameter& w = model.store.add("w", {2}, Role::kWeight);
  model.store.layout();
  AdamW adamw(model.store, settings(0.1));
  model.write(w.value, {1.0f, -2.0f});
  // t = 1: m = 0.1 g, v = 0.001 g^2, both corrected to g and g^2: the direction is the sign of g.
  // p = 1 - 0.1 (1 + 0.1 * 1) = 0.89;  p = -2 - 0.1 (-1 + 0.1 * -2) = -1.88
  model.write(w.gradient, {0.5f, -3.0f});
  model.step(adamw, 0.1);
  CHECK(model.read(w.value)[0] == Approx(0.89).epsilon(1e-6));
  CHECK(model.read(w.value)[1] == Approx(-1.88).epsilon(1e-6));
  CHECK(model.read(adamw.first_moment(w))[0] == Approx(0.05).epsilon(1e-6));
  CHECK(model.read(adamw.second_moment(w))[1] == Approx(0.009).epsilon(1e-6));
  // t = 2, g = -1: m = 0.9 * 0.05 - 0.1 = -0.055, v = 0.999 * 0.00025 + 0.001 = 0.00124975;
  // m / 0.19 = -0.289474, sqrt(v / 0.001999) = 0.790688, quotient -0.366104
  // p = 0.89 - 0.1 (-0.366104 + 0.089) = 0.917710
  model.write(w.gradient, {-1.0f, 0.0f});
  model.step(adamw, 0.1);
  CHECK(model.read(w.value)[0] == Approx(0.9177104).epsilon(1e-6));
  CHECK(adamw.updates(w) == 2);
}

TEST_CASE("gradient_scale multiplies the gradient on the way") {
  Model model;
  Parameter& w = model.store.add("w", {1}, Role::kWeight);
  model.store.layout();
  AdamW adamw(model.store, settings(0.0));
  model.write(w.gradient, {8.0f});
  model.step(adamw, 0.1, 0.25f);  // as g = 2: m = 0.2, v = 0.004
  CHECK(model.read(adamw.first_moment(w))[0] == Approx(0.2).epsilon(1e-6));
  CHECK(model.read(adamw.second_moment(w))[0] == Approx(0.004).epsilon(1e-6));
  CHECK(model.read(w.gradient)[0] == 8.0f);  // left as it was
}

TEST_CASE("twenty updates follow the formula in double") {
  constexpr int kCount = 5003;  // a prime, one chunk and a bit
  Model model;
  Parameter& w = model.store.add("w", {kCount}, Role::kWeight);
  model.store.layout();
  const AdamWSettings s = settings(0.05);
  AdamW adamw(model.store, s);
  std::vector<float> start(kCount), gradient(kCount);
  for (int i = 0; i < kCount; ++i) start[i] = static_cast<float>(std::sin(0.1 * i));
  model.write(w.value, start);
  std::vector<double> p(start.begin(), start.end()), m(kCount), v(kCount);
  for (int t = 1; t <= 20; ++t) {
    const double lr = 0.01 / t;
    for (int i = 0; i < kCount; ++i) {
      gradient[i] = static_cast<float>(std::cos(0.3 * i + t)) * (i % 7 == 0 ? 1e-4f : 1.0f);
      const double g = 0.5 * gradient[i];
      m[i] = s.beta1 * m[i] + (1 - s.beta1) * g;
      v[i] = s.beta2 * v[i] + (1 - s.beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(s.beta1, t));
      const double v_hat = v[i] / (1 - std::pow(s.beta2, t));
      p[i] -= lr * (m_hat / (std::sqrt(v_hat) + s.eps) + s.weight_decay * p[i]);
    }
    model.write(w.gradient, gradient);
    model.step(adamw, lr, 0.5f);
  }
  // A float rounds to 6e-8; 20 updates of the values and twice that in the moments.
  const auto values = model.read(w.value), first = model.read(adamw.first_moment(w)),
             second = model.read(adamw.second_moment(w));
  double worst_p = 0, worst_m = 0, worst_v = 0;
  for (int i = 0; i < kCount; ++i) {
    worst_p = std::max(worst_p, std::abs(values[i] - p[i]));
    worst_m = std::max(worst_m, std::abs(first[i] - m[i]));
    worst_v = std::max(worst_v, std::abs(second[i] - v[i]) / v[i]);
  }
  CHECK(worst_p < 20 * 6e-8);
  CHECK(worst_m < 20 * 6e-8);
  CHECK(worst_v < 40 * 6e-8);
}

TEST_CASE("decay_exclude leaves parameters undecayed") {
  Model model;
  Parameter& w = model.store.add("fc.weight", {1}, Role::kWeight);
  Parameter& b = model.store.add("fc.bias", {1}, Role::kBias);
  Parameter& n = model.store.add("norm.weight", {1}, Role::kNorm);
  model.store.layout();
  AdamW adamw(model.store, settings(0.5, {"*.bias", "norm"}));
  for (Parameter* p : {&w, &b, &n}) model.write(p->value, {2.0f});
  model.write(model.store.gradients(), {0.0f, 0.0f, 0.0f});
  model.step(adamw, 0.1);
  CHECK(model.read(w.value)[0] == Approx(2.0 - 0.1 * 0.5 * 2.0).epsilon(1e-6));
  CHECK(model.read(b.value)[0] == 2.0f);
  CHECK(model.read(n.value)[0] == 2.0f);
}

TEST_CASE("moments follow the parameters through a new layout, new tensors start at zero") {
  Model model;
  Parameter& w = model.store.add("w", {3}, Role::kWeight);
  Parameter& a = model.store.add("w.A", {2}, Role::kWeight);
  Parameter& b = model.store.add("w.B", {2}, Role::kWeight);
  Parameter& tail = model.store.add("bias", {2}, Role::kBias);
  a.present = b.present = false;
  model.store.layout();
  AdamW adamw(model.store, settings(0.0));
  model.write(model.store.gradients(), {1, 2, 3, 4, 5});
  for (int t = 0; t < 3; ++t) model.step(adamw, 0.01);
  const auto first = model.read(adamw.first_moment(tail));
  const auto second = model.read(adamw.second_moment(tail));
  CHECK(adamw.updates(tail) == 3);
  CHECK_FALSE(adamw.first_moment(a));

  w.present = false;
  a.present = b.present = true;
  a.trainable = false;  // the factor that this rank's group does not train
  adamw.relayout(model.store.layout());
  CHECK(adamw.first_moment().elements() == 4);  // B and the bias
  CHECK(model.read(adamw.first_moment(tail)) == first);
  CHECK(model.read(adamw.second_moment(tail)) == second);
  CHECK(model.read(adamw.first_moment(b)) == std::vector<float>{0, 0});
  CHECK(adamw.updates(tail) == 3);
  CHECK(adamw.updates(b) == 0);
  CHECK_FALSE(adamw.first_moment(a));

  // The bias correction of B restarts: a first update has length lr whatever the gradient's size.
  model.write(b.value, {1.0f, 1.0f});
  model.write(a.value, {7.0f, 7.0f});
  model.write(model.store.gradients(), {1e-3f, -50.0f, 4.0f, 5.0f});
  model.step(adamw, 0.01);
  CHECK(model.read(b.value)[0] == Approx(0.99).epsilon(1e-4));
  CHECK(model.read(b.value)[1] == Approx(1.01).epsilon(1e-6));
  CHECK(model.read(a.value) == std::vector<float>{7.0f, 7.0f});
  CHECK(adamw.updates(b) == 1);
  CHECK(adamw.updates(tail) == 4);

  // Back to the dense weight: it starts again, the bias goes on.
  w.present = true;
  a.present = b.present = false;
  adamw.relayout(model.store.layout());
  CHECK(adamw.updates(w) == 0);
  CHECK(adamw.updates(tail) == 4);
  CHECK(model.read(adamw.second_moment(w)) == std::vector<float>{0, 0, 0});
}

TEST_CASE("an update count set from a checkpoint is used by the next step") {
  Model model;
  Parameter& w = model.store.add("w", {1}, Role::kWeight);
  model.store.layout();
  AdamW adamw(model.store, settings(0.0));
  adamw.updates(w) = 9;
  model.write(w.gradient, {1.0f});
  model.step(adamw, 1.0);
  // t = 10 with empty moments: (0.1 / (1 - 0.9^10)) / sqrt(0.001 / (1 - 0.999^10))
  const double expected =
      0.1 / (1 - std::pow(0.9, 10)) / std::sqrt(0.001 / (1 - std::pow(0.999, 10)));
  CHECK(model.read(w.value)[0] == Approx(-expected).epsilon(1e-6));
}

TEST_CASE("gradients that are not finite change nothing") {
  Model model;
  Parameter& w = model.store.add("w", {2}, Role::kWeight);
  model.store.layout();
  AdamW adamw(model.store, settings(0.1));
  model.write(w.value, {1.0f, -2.0f});
  model.write(w.gradient, {NAN, 1.0f});
  model.step(adamw, 0.1, 1.0f, false);
  CHECK(model.read(w.value) == std::vector<float>{1.0f, -2.0f});
  CHECK(model.read(adamw.first_moment(w)) == std::vector<float>{0.0f, 0.0f});
}

TEST_CASE("the clipping factor, and what it calls finite") {
  const auto device = Device::create(test_device());
  struct Inputs {
    double squares;
    float loss;
    GradientScale scale;
  };
  const auto decide = [&](double squares, float loss, double clip) {
    Inputs x{squares, loss, {-1.0f, -1}};
    const Buffer memory(*device, sizeof x);
    const Stream stream = device->stream();
    device->runtime().copy_to_device(stream, memory.data(), &x, sizeof x);
    gradient_scale(stream, memory.data(), memory.data().plus_bytes(offsetof(Inputs, loss)), clip,
                   memory.data().plus_bytes(offsetof(Inputs, scale)));
    device->runtime().copy_to_host(stream, &x, memory.data(), sizeof x);
    return x.scale;
  };
  CHECK(decide(25.0, 2.0f, 1.0).factor == static_cast<float>(1.0 / (5.0 + 1e-6)));
  CHECK(decide(25.0, 2.0f, 5.0).factor == 1.0f);
  CHECK(decide(25.0, 2.0f, 0.0).factor == 1.0f);
  CHECK(decide(25.0, 2.0f, 1.0).finite == 1);
  CHECK(decide(NAN, 2.0f, 1.0).finite == 0);
  CHECK(decide(INFINITY, 2.0f, 1.0).finite == 0);
  CHECK(decide(25.0, NAN, 1.0).finite == 0);
  CHECK(decide(25.0, -INFINITY, 1.0).finite == 0);
}
