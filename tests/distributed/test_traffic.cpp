// The cost formulas against numbers worked out by hand, and against the ring plans that really run.
#include "distributed/ring_plan.h"
#include "distributed/traffic.h"
#include "kernels/numbers.h"
#include "tests/catch.h"

namespace ab {
namespace {

int64_t total_sent(Collective collective, int64_t elements, DType dtype, int n, int root) {
  int64_t total = 0;
  for (int rank = 0; rank < n; ++rank)
    total += cost_of(collective, elements, dtype, rank, root, std::vector<int>(n, 0)).sent_bytes;
  return total;
}

TEST_CASE("chunks cover the array, the longer ones first") {
  // 10 = 4 + 3 + 3
  CHECK(chunk_begin(10, 3, 0) == 0);
  CHECK(chunk_begin(10, 3, 1) == 4);
  CHECK(chunk_begin(10, 3, 2) == 7);
  CHECK(chunk_begin(10, 3, 3) == 10);
  // Two elements on four ranks: 1, 1, 0, 0.
  CHECK(chunk_begin(2, 4, 2) == 2);
  CHECK(chunk_begin(2, 4, 3) == 2);
}

TEST_CASE("cost of one rank") {
  const std::vector<int> nodes{0, 0, 1};
  // 10 fp32 on 3 ranks, chunks 4, 3, 3: rank 0 sends 2*10 - 4 - 3 = 13 elements = 52 bytes.
  const LedgerEntry zero = cost_of(Collective::kAllReduce, 10, DType::kFloat32, 0, 0, nodes);
  CHECK(zero == LedgerEntry{1, 10, 40, 52, 0});
  // Rank 1: 20 - 3 - 3 = 14 elements, over to node 1; rank 2: 20 - 3 - 4 = 13, back to node 0.
  const LedgerEntry one = cost_of(Collective::kAllReduce, 10, DType::kFloat32, 1, 0, nodes);
  CHECK(one == LedgerEntry{1, 10, 40, 56, 56});
  const LedgerEntry two = cost_of(Collective::kAllReduce, 10, DType::kFloat32, 2, 0, nodes);
  CHECK(two == LedgerEntry{1, 10, 40, 52, 52});
  // Broadcast from 1: 1 -> 2 -> 0; rank 0 is the chain's end.
  CHECK(cost_of(Collective::kBroadcast, 5, DType::kBFloat16, 1, 1, nodes).sent_bytes == 10);
  CHECK(cost_of(Collective::kBroadcast, 5, DType::kBFloat16, 2, 1, nodes).inter_node_bytes == 10);
  CHECK(cost_of(Collective::kBroadcast, 5, DType::kBFloat16, 0, 1, nodes).sent_bytes == 0);
  // All-gather: two blocks of 3 int64.
  CHECK(cost_of(Collective::kAllGather, 3, DType::kInt64, 0, 0, nodes).sent_bytes == 48);
  CHECK(cost_of(Collective::kAllReduce, 10, DType::kFloat32, 0, 0, {0}) ==
        LedgerEntry{1, 10, 40, 0, 0});
}

TEST_CASE("all ranks together send what the formulas say, exactly") {
  for (const int n : {1, 2, 3, 4, 5, 8}) {
    for (const int64_t elements : {0, 1, 2, 3, 7, 97, 1000}) {
      CHECK(total_sent(Collective::kAllReduce, elements, DType::kFloat32, n, 0) ==
            2 * (n - 1) * elements * 4);
      CHECK(total_sent(Collective::kAllGather, elements, DType::kInt64, n, 0) ==
            n * (n - 1) * elements * 8);
      CHECK(total_sent(Collective::kBroadcast, elements, DType::kBFloat16, n, n / 2) ==
            (n - 1) * elements * 2);
    }
  }
}

TEST_CASE("a ring plan sends the bytes that are booked") {
  const auto bytes_of = [](const std::vector<RingSegment>& list) {
    int64_t total = 0;
    for (const RingSegment& s : list) total += s.bytes;
    return total;
  };
  for (const Collective collective :
       {Collective::kAllReduce, Collective::kBroadcast, Collective::kAllGather}) {
    for (const int n : {2, 3, 5}) {
      for (const int64_t elements : {0, 1, 4, 101}) {
        for (int rank = 0; rank < n; ++rank) {
          const int root = n - 1;
          const RingPlan plan = plan_ring(collective, elements, DType::kFloat32, rank, n, root, 16);
          const LedgerEntry cost =
              cost_of(collective, elements, DType::kFloat32, rank, root, std::vector<int>(n, 0));
          CHECK(bytes_of(plan.sends) == cost.sent_bytes);
          // What this rank sends is, segment by segment, what its right neighbour awaits.
          const RingPlan right =
              plan_ring(collective, elements, DType::kFloat32, (rank + 1) % n, n, root, 16);
          REQUIRE(right.arrivals.size() == plan.sends.size());
          for (size_t i = 0; i < plan.sends.size(); ++i) {
            CHECK(right.arrivals[i].offset == plan.sends[i].offset);
            CHECK(right.arrivals[i].bytes == plan.sends[i].bytes);
          }
        }
      }
    }
  }
}

TEST_CASE("bf16 sums are made in float and rounded once") {
  // 256 + 1 = 257 needs 9 bits: a tie between 256 and 258, to even mantissa: 256. 256 + 3 = 259:
  // tie between 258 and 260, to 260.
  BFloat16 into[2], from[2];
  store(&into[0], 256.0f);
  store(&into[1], 256.0f);
  store(&from[0], 1.0f);
  store(&from[1], 3.0f);
  sum_into(DType::kBFloat16, into, from, 2);
  CHECK(load(into[0]) == 256.0f);
  CHECK(load(into[1]) == 260.0f);
  CHECK_THROWS_AS(sum_into(DType::kUint8, into, from, 1), std::invalid_argument);
}

}  // namespace
}  // namespace ab
