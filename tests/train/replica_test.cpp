// One rank's step: what it allocates, and what groups of replicas do to each other.
#include <cmath>

#include "tests/catch.h"
#include "tests/train/rank_fixture.h"

using namespace ab;

TEST_CASE("after the first step of a phase nothing is allocated on the device") {
  const std::string model = GENERATE("vit", "resnet");
  const std::string precision = GENERATE("fp32", "bf16");
  CAPTURE(model, precision);
  const Config config = tiny_config(model, {"train.precision=" + precision});
  Rank rank(config, 1);
  rank.batch.upload(batch_of(config, 1));
  const auto allocations_of_later_steps = [&] {
    rank.step(0);
    const int64_t before = rank.device->memory().allocations;
    for (int64_t i = 1; i < 4; ++i) rank.step(i);
    return rank.device->memory().allocations - before;
  };
  CHECK(allocations_of_later_steps() == 0);
  const std::vector<int64_t> ranks(rank.replica.factorable.size(), 2);
  shape_as_factored(rank.replica, ranks, true);
  rank.replica.arena.reset();
  CHECK(allocations_of_later_steps() == 0);
}

TEST_CASE("groups that see the same data and train the same factor stay equal") {
  // Four groups of one rank: 0 and 1 train A, 2 and 3 train B, all on one batch.
  const Config config = tiny_config(
      "resnet", {"method=ab", "ab.group_size=1", "train.init=default", "ab.sigma_cutoff=0.5"});
  std::vector<uint64_t> hashes(4);
  std::vector<double> losses(4);
  run_local_ranks(4, 4, [&](Communicator& threads) {
    Rank rank(config, 4, threads.rank());
    const auto gpu_world = device_world(threads, *rank.device);
    Communicator& world = gpu_world ? *gpu_world : threads;
    const auto group = world.split(world.rank(), "group");
    const bool trains_a = world.rank() < 2;
    PhaseBorder border(config, rank.replica, world, {group.get(), world.rank(), 4, trains_a});
    rank.batch.upload(batch_of(config, 1));
    border.decompose(0);
    const size_t me = static_cast<size_t>(world.rank());
    for (int64_t i = 0; i < 5; ++i) losses[me] = rank.step(i);
    std::vector<const Parameter*> all;
    for (const Parameter& p : rank.replica.store.parameters())
      if (p.present) all.push_back(&p);
    for (const uint64_t hash : rank.replica.hashes_of(all)) hashes[me] = hashes[me] * 31 + hash;
    border.merge();  // throws unless all four agree again
  });
  CHECK(hashes[0] == hashes[1]);
  CHECK(hashes[2] == hashes[3]);
  CHECK(hashes[0] != hashes[2]);
  CHECK(losses[0] == losses[1]);
  CHECK(losses[2] == losses[3]);
}

TEST_CASE("merge averages as it says") {
  // Two groups of one rank. After decomposing, rank 0 changes its A by +2 and rank 1 its B by +4
  // everywhere; W must become (A + share 2)(B + share 4) with share 1/2 for `all`, 1 for `learned`.
  const std::string merge = GENERATE("all", "learned");
  CAPTURE(merge);
  const Config config = tiny_config("vit", {"method=ab", "ab.group_size=1", "ab.merge=" + merge});
  const double share = merge == "all" ? 0.5 : 1.0;
  run_local_ranks(2, 2, [&](Communicator& threads) {
    Rank rank(config, 2, threads.rank());
    const auto gpu_world = device_world(threads, *rank.device);
    Communicator& world = gpu_world ? *gpu_world : threads;
    const auto group = world.split(world.rank(), "group");
    PhaseBorder border(config, rank.replica, world,
                       {group.get(), world.rank(), 2, world.rank() == 0});
    border.decompose(0);
    const FactoredWeight& weight = *rank.replica.factorable[0];
    const auto read = [&](const Tensor& t) {
      std::vector<float> values(static_cast<size_t>(t.elements()));
      rank.device->runtime().copy_to_host(rank.device->stream(), values.data(), t.data(),
                                          t.bytes());
      return values;
    };
    std::vector<float> outer = read(weight.outer().value), inner = read(weight.inner().value);
    const bool outer_is_a = &weight.outer() == &weight.a();
    const int64_t m = weight.out(), k = weight.rank(), n = weight.in();
    // What this rank trained.
    const Parameter& mine = world.rank() == 0 ? weight.a() : weight.b();
    std::vector<float> changed = read(mine.value);
    for (float& v : changed) v += world.rank() == 0 ? 2.0f : 4.0f;
    rank.device->runtime().copy_to_device(rank.device->stream(), mine.value.data(), changed.data(),
                                          mine.value.bytes());
    border.merge();
    const std::vector<float> w = read(weight.dense().value);
    double worst = 0.0;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0.0;
        for (int64_t l = 0; l < k; ++l)
          sum += (outer[i * k + l] + share * (outer_is_a ? 2.0 : 4.0)) *
                 (inner[l * n + j] + share * (outer_is_a ? 4.0 : 2.0));
        worst = std::max(worst, std::abs(sum - w[i * n + j]));
      }
    // Sums of k <= 16 terms of size about 10.
    if (worst > 1e-3) throw std::logic_error("merged W is off by " + std::to_string(worst));
  });
}
