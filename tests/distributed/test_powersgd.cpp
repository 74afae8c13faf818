// PowerSGD on local ranks, against sums in double and what its algebra promises.
#include <cmath>
#include <functional>

#include "distributed/powersgd.h"
#include "kernels/philox.h"
#include "tests/catch.h"
#include "tests/distributed/cases.h"

namespace ab {
namespace {

using Values = std::vector<float>;

// A tall matrix, a wide one, a bias.
struct Model {
  std::unique_ptr<Device> device = Device::create(DeviceKind::kHost);
  ParameterStore store{*device, DType::kFloat32};
  Parameter &tall = store.add("tall", {6, 4}, Role::kWeight),
            &bias = store.add("bias", {5}, Role::kBias),
            &wide = store.add("wide", {3, 8}, Role::kWeight);

  Model() { store.layout(); }
  std::vector<CompressedMatrix> matrices(int64_t rank) const {
    return {{&tall, 6, 4, std::min<int64_t>(rank, 4)}, {&wide, 3, 8, std::min<int64_t>(rank, 3)}};
  }
};

Values read(const Tensor& t) {
  if (!t) return {};
  const float* from = t.data().as<float>();
  return {from, from + t.elements()};
}

float drawn(int rank, int step, uint64_t stream, int64_t i) {
  return uniform(philox(static_cast<uint64_t>(rank * 1000 + step), stream, i).x) - 0.5f;
}

void fill(const Parameter& p, const std::function<float(int64_t)>& value) {
  for (int64_t i = 0; i < p.shape.elements(); ++i) p.gradient.data().as<float>()[i] = value(i);
}

double norm(const std::vector<double>& v) {
  double sum = 0.0;
  for (const double x : v) sum += x * x;
  return std::sqrt(sum);
}

struct Step {
  Values whole, out, before, after;  // gradients before and after; errors before and after
};

// `steps` steps on n ranks; gradient(rank, step, parameter, element). [step][rank].
std::vector<std::vector<Step>> run(
    int n, int steps, int64_t rank, const PowerSgdSettings& settings,
    const std::function<float(int, int, uint64_t, int64_t)>& gradient) {
  std::vector<std::vector<Step>> seen(steps, std::vector<Step>(n));
  run_local_ranks(n, n, [&](Communicator& world) {
    Model model;
    PowerSgd powersgd(model.store, world, model.matrices(rank), settings);
    for (int s = 0; s < steps; ++s) {
      Step& step = seen[s][world.rank()];
      uint64_t stream = 0;
      powersgd.begin_step();
      for (Parameter& p : model.store.parameters()) {
        fill(p, [&](int64_t i) { return gradient(world.rank(), s, stream, i); });
        ++stream;
      }
      step.whole = read(model.store.gradients());
      step.before = read(powersgd.errors());
      for (const Parameter* p : {&model.wide, &model.bias, &model.tall}) powersgd.ready(*p);
      powersgd.finish_step();
      step.out = read(model.store.gradients());
      step.after = read(powersgd.errors());
    }
  });
  return seen;
}

// Places in the flat gradients: tall [0, 24), bias [24, 29), wide [29, 53); errors: tall, wide.
constexpr size_t kBias = 24, kWide = 29, kEnd = 53;
size_t error_place(size_t i) {
  return i < kBias ? i : i - (kWide - kBias);
}
bool compressed(size_t i) {
  return i < kBias || i >= kWide;
}

std::vector<double> mean_of(const std::vector<Step>& ranks, Values Step::*values) {
  std::vector<double> mean((ranks[0].*values).size());
  for (const Step& rank : ranks)
    for (size_t i = 0; i < mean.size(); ++i)
      mean[i] += (rank.*values)[i] / static_cast<double>(ranks.size());
  return mean;
}

}  // namespace

TEST_CASE("what is sent and what stays add up to the gradient and the old error") {
  const int n = GENERATE(1, 3);
  CAPTURE(n);
  const auto seen = run(n, 6, 2, {.seed = 3}, drawn);
  for (const auto& ranks : seen) {
    const auto gradient = mean_of(ranks, &Step::whole), before = mean_of(ranks, &Step::before),
               after = mean_of(ranks, &Step::after);
    REQUIRE(after.size() == 48);
    std::vector<double> kept;
    for (size_t i = 0; i < kEnd; ++i) {
      const double out = ranks[0].out[i];
      if (!compressed(i)) {
        CHECK(std::abs(out - gradient[i]) < 1e-6);
        continue;
      }
      // Entries are below 2 and sums have at most 8 terms.
      CHECK(std::abs(out + after[error_place(i)] - gradient[i] - before[error_place(i)]) < 1e-5);
      kept.push_back(after[error_place(i)]);
    }
    CHECK(norm(kept) > 0.1);  // rank 2 cannot hold a random matrix
  }
}

TEST_CASE("every rank leaves with the same bits") {
  const auto seen = run(3, 4, 2, {}, drawn);
  for (const auto& ranks : seen)
    for (const Step& rank : ranks) REQUIRE(rank.out == ranks[0].out);
}

TEST_CASE("at full rank nothing is lost, whatever the gradients' own rank") {
  const std::string kind = GENERATE("random", "rank one", "zero, then random", "a zero row");
  CAPTURE(kind);
  const bool feedback = GENERATE(true, false);
  const auto gradient = [&](int rank, int step, uint64_t stream, int64_t i) {
    const float value = drawn(rank, step, stream, i);
    if (kind == "rank one") return drawn(0, step, stream, i / 4) * drawn(0, step, stream, i % 4);
    if (kind == "zero, then random") return step == 0 ? 0.0f : value;
    return kind == "a zero row" && i < 4 ? 0.0f : value;
  };
  const auto seen = run(3, 5, 8, {.error_feedback = feedback}, gradient);
  for (const auto& ranks : seen) {
    const auto mean = mean_of(ranks, &Step::whole);
    for (size_t i = 0; i < mean.size(); ++i) CHECK(std::abs(ranks[0].out[i] - mean[i]) < 1e-5);
    for (const Step& rank : ranks)
      for (const float e : rank.after) CHECK(std::abs(e) < 1e-5);
  }
}

TEST_CASE("steps on one gradient are a power iteration: the best rank-2 matrix remains") {
  // tall = diag(4, 2, 1, 0): what rank 2 leaves out has norm 1. Errors shrink by (1/2)^2 a step.
  const auto gradient = [](int, int, uint64_t stream, int64_t i) {
    return stream == 0 && i % 5 == 0 && i < 15 ? 4.0f / static_cast<float>(1 << (i / 5)) : 0.0f;
  };
  const auto left = [](const Step& step, const std::vector<double>& sent) {
    std::vector<double> rest;
    for (size_t i = 0; i < kBias; ++i) rest.push_back(step.whole[i] - sent[i]);
    return norm(rest);
  };
  const auto plain = run(2, 20, 2, {.error_feedback = false}, gradient);
  const Step& last = plain.back()[0];
  CHECK(left(last, {last.out.begin(), last.out.end()}) == Approx(1.0).epsilon(1e-4));
  // With error feedback the mean of T steps misses E_T / T alone.
  const auto fed = run(2, 20, 2, {}, gradient);
  std::vector<double> mean(kEnd);
  for (const auto& ranks : fed)
    for (size_t i = 0; i < kEnd; ++i) mean[i] += ranks[0].out[i] / 20.0;
  const Values& error = fed.back()[0].after;
  CHECK(left(fed.back()[0], mean) == Approx(norm({error.begin(), error.begin() + 24}) / 20.0));
  CHECK(left(fed.back()[0], mean) < 0.25);
}

TEST_CASE("bf16 travels where it is asked for; the factors stay fp32") {
  run_local_ranks(2, 2, [](Communicator& world) {
    Model model;
    PowerSgd powersgd(model.store, world, model.matrices(1), {.reduce_dtype = DType::kBFloat16});
    powersgd.begin_step();
    for (const Parameter& p : model.store.parameters()) {
      fill(p, [&](int64_t i) { return 1.0f + static_cast<float>(i) / 64; });  // exact in bf16
      powersgd.ready(p);
    }
    powersgd.finish_step();
    for (int64_t i = 0; i < 5; ++i)
      if (model.bias.gradient.data().as<float>()[i] != 1.0f + static_cast<float>(i) / 64)
        throw std::logic_error("bias");
    if (world.rank() != 0) return;
    int64_t narrow = 0, p = 0, q = 0;
    for (const auto& [key, entry] : world.ledger().entries()) {
      narrow +=
          key.purpose == Purpose::kGradients && key.dtype == DType::kBFloat16 ? entry.elements : 0;
      p += key.purpose == Purpose::kLowRankP && key.dtype == DType::kFloat32 ? entry.elements : 0;
      q += key.purpose == Purpose::kLowRankQ && key.dtype == DType::kFloat32 ? entry.elements : 0;
    }
    if (narrow != 5 || p != 4 + 3 || q != 6 + 8) throw std::logic_error("what travelled");
  });
}

TEST_CASE("a gradient that nobody wrote counts as zero, one that comes twice is a mistake") {
  run_local_ranks(1, 1, [](Communicator& world) {
    Model model;
    PowerSgd powersgd(model.store, world, model.matrices(4), {});
    for (const Parameter& p : model.store.parameters()) fill(p, [](int64_t) { return 7.0f; });
    powersgd.begin_step();
    powersgd.ready(model.tall);
    CHECK_THROWS_AS(powersgd.ready(model.tall), std::logic_error);
    powersgd.finish_step();
    CHECK(read(model.bias.gradient) == Values(5, 0.0f));
    for (const float g : read(model.wide.gradient)) CHECK(g == 0.0f);
    for (const float g : read(model.tall.gradient)) CHECK(g == Approx(7.0f));
  });
}

TEST_CASE("a matrix is compressed where that pays") {
  CHECK(compressed_rank(100, 50, 4, 2.0) == 4);  // 5000 > 2 * 600
  CHECK(compressed_rank(20, 10, 4, 2.0) == 0);   // 200 <= 240
  CHECK(compressed_rank(20, 10, 4, 0.0) == 4);
  CHECK(compressed_rank(20, 3, 4, 0.0) == 3);
}

}  // namespace ab
