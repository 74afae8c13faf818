// The ledger: what is booked, and that its tables add up over the ranks.
#include <mutex>

#include "distributed/ledger_gather.h"
#include "distributed/traffic.h"
#include "engine/error.h"
#include "tests/catch.h"

namespace ab {
namespace {

TEST_CASE("every call is booked under its phase, communicator, collective, purpose and type") {
  std::map<LedgerKey, LedgerEntry> entries;
  int64_t sent = 0, inter_node = 0;
  run_local_ranks(2, 1, [&](Communicator& world) {
    std::vector<float> values(10);
    world.ledger().set_phase(Phase::kWarmup);
    for (int i = 0; i < 3; ++i)
      world.all_reduce(Purpose::kGradients, values.data(), 10, DType::kFloat32);
    world.ledger().set_phase(Phase::kMerge);
    world.broadcast(Purpose::kRanks, values.data(), 4, DType::kFloat32, 0);
    if (world.rank() != 0) return;
    entries = world.ledger().entries();
    sent = world.ledger().sent_bytes();
    inter_node = world.ledger().inter_node_bytes();
  });
  REQUIRE(entries.size() == 2);
  // Two ranks: an all-reduce sends each of the two chunks of 5 once: 10 elements, 40 bytes.
  CHECK(entries.at({Phase::kWarmup, "world", Collective::kAllReduce, Purpose::kGradients,
                    DType::kFloat32}) == LedgerEntry{3, 30, 120, 120, 120});
  CHECK(entries.at({Phase::kMerge, "world", Collective::kBroadcast, Purpose::kRanks,
                    DType::kFloat32}) == LedgerEntry{1, 4, 16, 16, 16});
  CHECK(sent == 136);
  CHECK(inter_node == 136);
}

TEST_CASE("one rank alone is booked and sends nothing") {
  run_local_ranks(1, 1, [&](Communicator& world) {
    float x = 2.5f;
    world.all_reduce(Purpose::kMetrics, &x, 1, DType::kFloat32);
    CHECK(x == 2.5f);
    REQUIRE(world.ledger().entries().size() == 1);
    CHECK(world.ledger().entries().begin()->second == LedgerEntry{1, 1, 4, 0, 0});
  });
}

TEST_CASE("gathered ledgers are the sum over ranks and count their own bytes") {
  for (const int n : {1, 2, 3, 5}) {
    std::mutex mutex;
    std::map<LedgerKey, LedgerEntry> by_hand, gathered, before;
    RankBytes per_rank{std::vector<int64_t>(n), std::vector<int64_t>(n)}, reported;
    std::vector<int> nodes;
    run_local_ranks(n, 2, [&](Communicator& world) {
      std::vector<float> values(101);
      world.ledger().set_phase(Phase::kAb);
      world.all_reduce(Purpose::kGradients, values.data(), 101, DType::kFloat32);
      world.ledger().set_phase(Phase::kMerge);
      world.broadcast(Purpose::kFactors, values.data(), 13, DType::kFloat32, n - 1);
      const auto own = world.ledger().entries();
      RankBytes sent;
      const auto sums = gather_ledger(world, sent);
      std::lock_guard lock(mutex);
      for (const auto& [key, entry] : own) before[key] += entry;
      for (const auto& [key, entry] : world.ledger().entries()) by_hand[key] += entry;
      per_rank.sent[world.rank()] = world.ledger().sent_bytes();
      per_rank.inter_node[world.rank()] = world.ledger().inter_node_bytes();
      if (world.rank() == n - 1) {
        gathered = sums;
        reported = sent;
        nodes = world.nodes();
      }
    });
    CHECK(gathered == by_hand);
    CHECK(reported.sent == per_rank.sent);
    CHECK(reported.inter_node == per_rank.inter_node);
    CHECK(gathered.size() == 4);
    // 4 entries of 5 int64 = 20 elements of 8 bytes, all ranks together 2 (n-1) times; 3 int64 each
    // to n-1 ranks.
    const LedgerKey reduce{Phase::kEnd, "world", Collective::kAllReduce, Purpose::kLedger,
                           DType::kInt64};
    const LedgerKey gather{Phase::kEnd, "world", Collective::kAllGather, Purpose::kLedger,
                           DType::kInt64};
    CHECK(gathered[reduce].sent_bytes == 2 * (n - 1) * 160);
    CHECK(gathered[gather].sent_bytes == n * (n - 1) * 24);
    // The planner's prediction.
    book_gather(before, nodes);
    CHECK(before == gathered);
  }
}

TEST_CASE("ledgers with different keys are an error on every rank") {
  try {
    run_local_ranks(2, 2, [](Communicator& world) {
      const auto alone = world.split(world.rank(), "alone");
      float x = 0;
      const Purpose purpose = world.rank() ? Purpose::kHash : Purpose::kMetrics;
      alone->all_reduce(purpose, &x, 1, DType::kFloat32);
      RankBytes sent;
      gather_ledger(world, sent);
    });
    FAIL("no error");
  } catch (const CommunicationError& e) {
    CHECK(std::string(e.what()).find("different keys") != std::string::npos);
  }
}

TEST_CASE("names of purposes and phases are the interface's words") {
  CHECK(std::string(name_of(Collective::kAllReduce)) == "all_reduce");
  CHECK(std::string(name_of(Purpose::kMergeUnfactored)) == "merge_unfactored");
  CHECK(std::string(name_of(Purpose::kLedger)) == "ledger");
  CHECK(std::string(name_of(Phase::kAb)) == "ab");
  CHECK(std::string(name_of(Phase::kEnd)) == "end");
}

}  // namespace
}  // namespace ab
