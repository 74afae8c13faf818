// The gradient reducer: buckets, one order on all ranks, means.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>

#include "distributed/reducer.h"
#include "distributed/traffic.h"
#include "engine/error.h"
#include "tests/catch.h"
#include "tests/distributed/cases.h"

namespace ab {
namespace {

// Parameters a, b, ... of the given sizes, laid out.
struct Model {
  std::unique_ptr<Device> device = Device::create(DeviceKind::kHost);
  ParameterStore store{*device, DType::kFloat32};

  explicit Model(const std::vector<int64_t>& sizes) {
    for (size_t i = 0; i < sizes.size(); ++i)
      store.add(std::string(1, static_cast<char>('a' + i)), Shape{sizes[i]}, Role::kWeight);
    store.layout();
  }
  float* gradient(const Parameter& p) { return p.gradient.data().as<float>(); }
};

const std::vector<int64_t> kSizes{5, 1, 300, 7, 64, 2, 33};

TEST_CASE("buckets are cut from the end at parameter borders") {
  // From the end: 3 | 4 + 2 | 20 alone, too large | 1 + 5.
  const auto buckets = cut_buckets({5, 1, 20, 2, 4, 3}, 6);
  REQUIRE(buckets.size() == 4);
  const int64_t expected[4][3] = {{32, 3, 1}, {26, 6, 2}, {6, 20, 1}, {0, 6, 2}};
  for (size_t b = 0; b < 4; ++b) {
    CHECK(buckets[b].first == expected[b][0]);
    CHECK(buckets[b].elements == expected[b][1]);
    CHECK(buckets[b].parameters == expected[b][2]);
  }
  CHECK(cut_buckets({}, 6).empty());
  CHECK(cut_buckets({1, 2, 3}, 1000).size() == 1);
}

// One step on n ranks in which every rank's parameters become ready in another order; returns the
// number of wrong gradients.
int64_t wrong_after_step(int n, DType dtype, double tolerance) {
  std::atomic<int64_t> wrong{0};
  run_local_ranks(n, n, [&](Communicator& world) {
    Model model(kSizes);
    GradientReducer reducer(model.store, world, 64 * 4, dtype);
    for (int step = 0; step < 3; ++step) {
      reducer.begin_step();
      std::vector<size_t> order(kSizes.size());
      std::iota(order.begin(), order.end(), size_t{0});
      std::rotate(order.begin(), order.begin() + (world.rank() + step) % order.size(), order.end());
      if (world.rank() % 2) std::reverse(order.begin(), order.end());
      for (const size_t i : order) {
        const Parameter& p = model.store.parameters()[i];
        for (int64_t e = 0; e < kSizes[i]; ++e)
          model.gradient(p)[e] = static_cast<float>(value_of(world.rank(), 1000 * (i + step) + e));
        reducer.ready(p);
      }
      reducer.finish_step();
      wrong += reducer.waited_s() < 0.0;
      for (size_t i = 0; i < kSizes.size(); ++i) {
        for (int64_t e = 0; e < kSizes[i]; ++e) {
          double mean = 0.0, size = 0.0;
          for (int r = 0; r < n; ++r) {
            mean += value_of(r, 1000 * (i + step) + e) / n;
            size += std::abs(value_of(r, 1000 * (i + step) + e)) / n;
          }
          const double error = model.gradient(model.store.parameters()[i])[e] - mean;
          wrong += std::abs(error) > tolerance * n * size;
        }
      }
    }
  });
  return wrong;
}

TEST_CASE("gradients become their mean over the ranks, in any order of readiness") {
  // Half a unit in the last place for each of n - 1 additions, the inputs and the division.
  CHECK(wrong_after_step(1, DType::kFloat32, 1.2e-7) == 0);
  CHECK(wrong_after_step(2, DType::kFloat32, 1.2e-7) == 0);
  CHECK(wrong_after_step(5, DType::kFloat32, 1.2e-7) == 0);
  CHECK(wrong_after_step(4, DType::kBFloat16, 1.0 / 128) == 0);
}

TEST_CASE("a bucket waits for its parameters and for the buckets before it") {
  run_local_ranks(1, 1, [](Communicator& world) {
    Model model({4, 4, 4});  // three buckets: p2, p1, p0
    GradientReducer reducer(model.store, world, 16, DType::kFloat32);
    const auto& p = model.store.parameters();
    const auto calls = [&] {
      int64_t total = 0;
      for (const auto& [key, entry] : world.ledger().entries()) total += entry.calls;
      return total;
    };
    reducer.begin_step();
    reducer.ready(p[0]);
    reducer.ready(p[1]);
    CHECK(calls() == 0);
    reducer.ready(p[2]);
    CHECK(calls() == 3);
    CHECK_THROWS_AS(reducer.ready(p[2]), std::logic_error);
    reducer.finish_step();
    CHECK(calls() == 3);
  });
}

TEST_CASE("parameters that no closure touched count as zero") {
  std::atomic<int> wrong{0};
  run_local_ranks(2, 2, [&](Communicator& world) {
    Model model({3, 2});
    auto& p = model.store.parameters();
    GradientReducer reducer(model.store, world, 1 << 20, DType::kFloat32);
    for (int i = 0; i < 5; ++i) model.store.gradients().data().as<float>()[i] = 99.0f;  // stale
    reducer.begin_step();
    if (world.rank() == 0) {
      for (int i = 0; i < 2; ++i) model.gradient(p[1])[i] = 8.0f;
      reducer.ready(p[1]);
    }
    reducer.finish_step();
    for (int i = 0; i < 3; ++i) wrong += model.gradient(p[0])[i] != 0.0f;
    for (int i = 0; i < 2; ++i) wrong += model.gradient(p[1])[i] != 4.0f;
  });
  CHECK(wrong == 0);
}

TEST_CASE("buckets are booked in the type that travels") {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    std::atomic<int64_t> sent{0}, payload{0};
    run_local_ranks(3, 3, [&](Communicator& world) {
      Model model(kSizes);  // 412 elements
      GradientReducer reducer(model.store, world, 100, dtype);
      reducer.begin_step();
      reducer.finish_step();
      sent += world.ledger().sent_bytes();
      for (const auto& [key, entry] : world.ledger().entries())
        if (key.dtype == dtype && key.purpose == Purpose::kGradients)
          payload += entry.payload_bytes;
    });
    const int64_t width = static_cast<int64_t>(size_of(dtype));
    CHECK(payload == 3 * 412 * width);
    CHECK(sent == 2 * (3 - 1) * 412 * width);
  }
}

TEST_CASE("a layout change asks for a new reducer; frozen parameters have no bucket") {
  run_local_ranks(1, 1, [](Communicator& world) {
    Model model({4, 6});
    auto& p = model.store.parameters();
    p[0].trainable = false;
    model.store.layout();
    GradientReducer reducer(model.store, world, 1 << 20, DType::kFloat32);
    REQUIRE(reducer.buckets().size() == 1);
    CHECK(reducer.buckets()[0].elements == 6);
    CHECK_THROWS_AS(reducer.ready(p[0]), std::logic_error);
    CHECK_THROWS_AS(GradientReducer(model.store, world, 1, DType::kInt64), ConfigError);
  });
}

}  // namespace
}  // namespace ab
