// Ranks as threads: values, order, and what happens when ranks disagree or go away.
#include <atomic>
#include <chrono>
#include <thread>

#include "distributed/communicator.h"
#include "engine/error.h"
#include "tests/catch.h"
#include "tests/distributed/cases.h"

namespace ab {
namespace {

// The message that run_local_ranks ends with; empty when it ends well.
std::string ending_of(int ranks, const std::function<void(Communicator&)>& body,
                      double timeout_s = 20.0) {
  try {
    run_local_ranks(ranks, ranks, body, {timeout_s});
  } catch (const CommunicationError& e) {
    return std::string("communication: ") + e.what();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("local all-reduce agrees with a sum in double, all ranks to the bit") {
  for (int n = 1; n <= 5; ++n) {
    for (const int64_t elements : {0, 1, 2, 3, 5003}) {
      std::vector<std::vector<float>> results(n);
      run_local_ranks(n, n, [&](Communicator& world) {
        std::vector<float> values = values_of<float>(world.rank(), elements);
        world.all_reduce(Purpose::kMetrics, values.data(), elements, DType::kFloat32);
        results[world.rank()] = values;
      });
      int64_t wrong = 0, different = 0;
      for (int64_t i = 0; i < elements; ++i) {
        double sum = 0.0, size = 0.0;
        for (int r = 0; r < n; ++r) {
          const float x = static_cast<float>(value_of(r, i) * 1000.0);
          sum += x;
          size += std::abs(x);
        }
        // n - 1 additions, each off by at most half a unit in the last place of a partial sum.
        wrong += std::abs(results[0][i] - sum) > n * 6e-8 * size;
        for (int r = 1; r < n; ++r) different += results[r][i] != results[0][i];
      }
      CHECK(wrong == 0);
      CHECK(different == 0);
    }
  }
}

TEST_CASE("the sum of a chunk starts at the next rank: the ring's order") {
  // Chunk c = x[c+1] + x[c+2] + x[c]. With 1e8, 1, -1e8 in fp32 the order shows: 1e8 + 1 = 1e8.
  const float x[3] = {1e8f, 1.0f, -1e8f};
  std::vector<float> result(3);
  run_local_ranks(3, 3, [&](Communicator& world) {
    std::vector<float> values(3, x[world.rank()]);
    world.all_reduce(Purpose::kMetrics, values.data(), 3, DType::kFloat32);
    if (world.rank() == 0) result = values;
  });
  CHECK(result[0] == 0.0f);  // (1 - 1e8) + 1e8
  CHECK(result[1] == 1.0f);  // (-1e8 + 1e8) + 1
  CHECK(result[2] == 0.0f);  // (1e8 + 1) - 1e8
}

TEST_CASE("two local runs agree to the bit, whatever the threads did") {
  std::vector<std::vector<char>> results(8);
  for (int run = 0; run < 2; ++run)
    run_local_ranks(4, 2, [&](Communicator& world) {
      results[run * 4 + world.rank()] = run_everything(world);
    });
  for (int r = 0; r < 4; ++r) CHECK(results[r] == results[r + 4]);
}

TEST_CASE("broadcast, all-gather and one rank alone") {
  for (int n = 1; n <= 4; ++n) {
    std::atomic<int> wrong{0};
    run_local_ranks(n, n, [&](Communicator& world) {
      for (int root = 0; root < n; ++root) {
        std::vector<int64_t> values(5, world.rank());
        world.broadcast(Purpose::kFactors, values.data(), 5, DType::kInt64, root);
        wrong += values != std::vector<int64_t>(5, root);
      }
      const int64_t mine[2] = {world.rank(), world.rank() * 10};
      std::vector<int64_t> all(2 * n);
      world.all_gather(Purpose::kHash, mine, all.data(), 2, DType::kInt64);
      for (int r = 0; r < n; ++r) wrong += all[2 * r] != r || all[2 * r + 1] != r * 10;
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("split: members in the order of ranks, with their nodes and the parent's ledger") {
  std::atomic<int> wrong{0};
  run_local_ranks(5, 2, [&](Communicator& world) {  // nodes 0 0 1 1 2
    const auto part = world.split(world.rank() % 2, "group");
    const std::vector<int> expected =
        world.rank() % 2 ? std::vector<int>{0, 1} : std::vector<int>{0, 1, 2};
    wrong += part->nodes() != expected;
    wrong += part->rank() != world.rank() / 2;
    wrong += part->name() != "group" || &part->ledger() != &world.ledger();
    int64_t sum = world.rank();
    part->all_reduce(Purpose::kMetrics, &sum, 1, DType::kInt64);
    wrong += sum != (world.rank() % 2 ? 1 + 3 : 0 + 2 + 4);
    const auto alone = part->split(part->rank(), "alone");
    wrong += alone->size() != 1;
  });
  CHECK(wrong == 0);
}

TEST_CASE("ranks agree where all say yes, and nothing is booked for it") {
  std::atomic<int> wrong{0};
  for (const int ranks : {1, 3})
    run_local_ranks(ranks, 2, [&](Communicator& world) {
      wrong += !world.agree(true);
      wrong += world.agree(world.rank() > 0);
      wrong += world.agree(false);
      wrong += !world.ledger().entries().empty();
    });
  CHECK(wrong == 0);
}

TEST_CASE("ranks that start different collectives all get an error that names both") {
  std::atomic<int> caught{0};
  const auto mismatch = [&](auto other) {
    return ending_of(3, [&](Communicator& world) {
      float values[8] = {};
      try {
        if (world.rank() == 1)
          other(world, values);
        else
          world.all_reduce(Purpose::kMetrics, values, 8, DType::kFloat32);
      } catch (const CommunicationError&) {
        ++caught;
        throw;
      }
    });
  };
  std::string text = mismatch(
      [](Communicator& c, float* v) { c.all_reduce(Purpose::kMetrics, v, 7, DType::kFloat32); });
  CHECK(caught == 3);
  CHECK(contains(text, "all_reduce of 7 fp32"));
  CHECK(contains(text, "all_reduce of 8 fp32"));
  text = mismatch(
      [](Communicator& c, float* v) { c.broadcast(Purpose::kMetrics, v, 8, DType::kFloat32, 0); });
  CHECK(contains(text, "broadcast of 8 fp32"));
  text = mismatch(
      [](Communicator& c, float* v) { c.all_reduce(Purpose::kHash, v, 8, DType::kFloat32); });
  CHECK(contains(text, "for hash"));
  text = mismatch([](Communicator& c, float*) { c.split(0, "group"); });
  CHECK(contains(text, "split"));
  CHECK(caught == 12);
}

TEST_CASE("calls that cannot be right are refused") {
  float x = 0;
  CHECK(contains(
      ending_of(2, [&](Communicator& c) { c.all_reduce(Purpose::kMetrics, &x, 1, DType::kUint8); }),
      "only fp32, bf16, fp64 and int64"));
  CHECK(contains(
      ending_of(
          2, [&](Communicator& c) { c.broadcast(Purpose::kMetrics, &x, 1, DType::kFloat32, 2); }),
      "ranks are 0 to 1"));
  CHECK(contains(ending_of(1,
                           [&](Communicator& c) {
                             c.all_reduce(Purpose::kMetrics, nullptr, 1, DType::kFloat32);
                           }),
                 "null address"));
  CHECK_THROWS_AS(run_local_ranks(0, 1, [](Communicator&) {}), ConfigError);
}

TEST_CASE("the first exception of a rank comes back, and wakes the others") {
  const std::string text = ending_of(3, [](Communicator& world) {
    const auto group = world.split(0, "group");
    if (world.rank() == 2) throw DataError("image 17 is broken");
    std::vector<float> values(100);
    const auto pending =
        group->start_all_reduce(Purpose::kGradients, values.data(), 100, DType::kFloat32);
    pending->wait();
  });
  CHECK(text == "image 17 is broken");
}

TEST_CASE("abort wakes blocked ranks of every communicator with its reason") {
  std::atomic<int> stopped{0};
  const std::string text = ending_of(4, [&](Communicator& world) {
    float x = 0;
    try {
      const auto group = world.split(world.rank() / 2, "group");
      if (world.rank() == 3) return world.abort(4, "loss is not finite");
      group->all_reduce(Purpose::kMetrics, &x, 1, DType::kFloat32);
      world.all_reduce(Purpose::kMetrics, &x, 1, DType::kFloat32);
    } catch (const CommunicationError&) {
      ++stopped;
      throw;
    }
  });
  CHECK(stopped == 3);
  CHECK(contains(text, "loss is not finite"));
}

TEST_CASE("a rank that leaves while others wait for it is noticed") {
  float x[3] = {};
  const std::string text = ending_of(3, [&](Communicator& world) {
    if (world.rank() != 1)
      world.all_reduce(Purpose::kMetrics, &x[world.rank()], 1, DType::kFloat32);
  });
  CHECK(contains(text, "left"));
  // Giving up what was started is noticed too.
  const std::string dropped = ending_of(2, [&](Communicator& world) {
    const auto pending =
        world.start_all_reduce(Purpose::kGradients, &x[world.rank()], 1, DType::kFloat32);
    if (world.rank() == 0) pending->wait();
  });
  CHECK(contains(dropped, "gave up"));
}

TEST_CASE("a wait that lasts too long names rank, communicator, collective, purpose and phase") {
  const std::string text = ending_of(
      2,
      [](Communicator& world) {
        world.ledger().set_phase(Phase::kRebound);
        float x = 0;
        if (world.rank() == 0) world.all_reduce(Purpose::kMetrics, &x, 1, DType::kFloat32);
        // Rank 1 is alive and does something else, until the alarm has gone off.
        if (world.rank() == 1) {
          std::this_thread::sleep_for(std::chrono::milliseconds(600));
          world.split(0, "late");
        }
      },
      0.2);
  CHECK(contains(text, "communication: rank 0 of 2, communicator world: all_reduce"));
  CHECK(contains(text, "for metrics in phase rebound"));
  CHECK(contains(text, "ranks that did not start it: 1"));
}

}  // namespace
}  // namespace ab
