// Ranks that drifted apart are found, and the error names the tensor and the ranks, on every rank.
#include "tests/catch.h"
#include "tests/train/rank_fixture.h"
#include "tools/train/phase_border.h"

using namespace ab;

namespace {

// Changes one bit's worth of a tensor.
void disturb(Rank& rank, const Parameter& parameter) {
  std::vector<float> values = rank.read(parameter.value);
  values.back() += 1.0f;
  rank.write(parameter.value, values);
}

// Four ranks in two groups, decomposed; `body` disturbs and checks. Returns what each rank was
// told.
using Body = std::function<void(Rank&, PhaseBorder&, Communicator& world, Communicator& group)>;
std::vector<std::string> told(const Body& body) {
  const Config config = tiny_config("vit", {"method=ab", "ab.group_size=2"});
  std::vector<std::string> texts(4);
  run_local_ranks(4, 4, [&](Communicator& threads) {
    Rank rank(config, 4, threads.rank());
    const auto gpu_world = device_world(threads, *rank.device);
    Communicator& world = gpu_world ? *gpu_world : threads;
    const auto group = world.split(world.rank() / 2, "group");
    PhaseBorder border(config, rank.replica, world,
                       {group.get(), world.rank() / 2, 2, world.rank() < 2});
    border.decompose(0);
    try {
      body(rank, border, world, *group);
    } catch (const CommunicationError& error) {
      texts[static_cast<size_t>(world.rank())] = error.what();
    }
  });
  return texts;
}

}  // namespace

TEST_CASE("a rank that drifts inside its group is named with the tensor") {
  const auto texts =
      told([](Rank& rank, PhaseBorder& border, Communicator& world, Communicator& g) {
        const FactoredWeight& weight = *rank.replica.factorable[1];
        border.replicas().together(g, "in phase ab");      // nothing to tell yet
        if (world.rank() == 3) disturb(rank, weight.b());  // group 1 trains B
        border.replicas().together(g, "in phase ab");
      });
  // Two against one another: the lower rank counts, so that group rank 1 (rank 3) is named.
  CHECK(texts[0].empty());
  CHECK(texts[1].empty());
  CHECK(texts[2] == texts[3]);
  CHECK_THAT(texts[2], Catch::Contains("replicas differ in phase ab (communicator group, 2 ranks"));
  CHECK_THAT(texts[2], Catch::Contains(".B on rank 1 is not what the other ranks hold; 1 of "));
}

TEST_CASE("a frozen factor that changed in one group is found before the merge") {
  const auto texts = told([](Rank&, PhaseBorder& border, Communicator&, Communicator&) {
    border.replicas().before_merge();
  });
  CHECK(texts == std::vector<std::string>(4));  // nothing was disturbed
  const Config config = tiny_config("vit", {"method=ab", "ab.group_size=1"});
  std::vector<std::string> four(4);
  run_local_ranks(4, 4, [&](Communicator& threads) {
    Rank rank(config, 4, threads.rank());
    const auto gpu_world = device_world(threads, *rank.device);
    Communicator& world = gpu_world ? *gpu_world : threads;
    const auto group = world.split(world.rank(), "group");
    PhaseBorder border(config, rank.replica, world,
                       {group.get(), world.rank(), 4, world.rank() < 2});
    border.decompose(0);
    // Groups 0 and 1 train A and hold B still; each group on its own has nobody to differ from.
    if (world.rank() == 1) disturb(rank, rank.replica.factorable[0]->b());
    if (world.rank() == 2) disturb(rank, rank.replica.factorable[0]->b());  // trains it: its right
    try {
      border.replicas().before_merge();
    } catch (const CommunicationError& error) {
      four[static_cast<size_t>(world.rank())] = error.what();
    }
  });
  for (const std::string& text : four) {
    CHECK_THAT(text, Catch::Contains("before merging, in factors that nobody trained"));
    CHECK_THAT(text, Catch::Contains(".B on rank 1 is not what the other ranks hold; 1 of "));
  }
}

TEST_CASE("an unfactored parameter that differs is named over the world") {
  const auto texts = told([](Rank& rank, PhaseBorder& border, Communicator& world, Communicator&) {
    if (world.rank() == 2)
      for (const Parameter& p : rank.replica.store.parameters())
        if (p.name == "head.bias") disturb(rank, p);
    border.replicas().whole("after decomposing");
  });
  for (const std::string& text : texts)
    CHECK_THAT(text,
               Catch::Contains("head.bias on rank 2 is not what the other ranks hold; 1 of "));
}
