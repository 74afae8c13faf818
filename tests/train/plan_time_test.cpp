// Times of a plan, worked out by hand.
#include "tools/train/plan_time.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tools/train/plan_methods.h"

namespace {

using namespace ab;

constexpr Links kLinks{{1e9, 1e-3}, {4e9, 1e-4}};  // bytes per second, seconds

LedgerEntry entry(int64_t calls, int64_t payload) {
  LedgerEntry e;
  e.calls = calls;
  e.payload_bytes = payload;
  return e;
}

LedgerKey key(Phase phase, const char* communicator, Purpose purpose) {
  return {phase, communicator, Collective::kAllReduce, purpose, DType::kFloat32};
}

}  // namespace

TEST_CASE("a ring takes its latencies and the bytes of its slowest hop", "[plan]") {
  const Ring ring{4, {1e9, 1e-3}};
  // All-reduce of 2 GB: six hops, and 2 * 3/4 * 2 s.
  CHECK(collective_seconds(Collective::kAllReduce, 1, 2'000'000'000, ring) == Approx(3.006));
  // Ten calls with the same bytes in all: ten times the hops.
  CHECK(collective_seconds(Collective::kAllReduce, 10, 2'000'000'000, ring) == Approx(3.06));
  CHECK(collective_seconds(Collective::kAllGather, 1, 1'000'000'000, ring) == Approx(3.003));
  CHECK(collective_seconds(Collective::kBroadcast, 1, 1'000'000'000, ring) == Approx(1.003));
  CHECK(collective_seconds(Collective::kAllReduce, 7, 1000, Ring{1, {}}) == 0.0);
}

TEST_CASE("rings that leave a node share its link", "[plan]") {
  const auto hop = [](int world, int per_node, int ranks) {
    const Ring ring = ring_of({world, per_node}, ranks, kLinks);
    CHECK(ring.ranks == ranks);
    return ring.hop;
  };
  CHECK((hop(8, 4, 8).bytes_per_s == 1e9 && hop(8, 4, 8).latency_s == 1e-3));
  CHECK((hop(8, 4, 4).bytes_per_s == 4e9 && hop(8, 4, 4).latency_s == 1e-4));  // inside
  CHECK(hop(4, 1, 4).bytes_per_s == 1e9);
  // Groups 012 345 678 9ab on nodes 0123 4567 89ab: node 1 sends 5 -> 3 and 7 -> 8.
  CHECK(hop(12, 4, 3).bytes_per_s == 0.5e9);
  // A slow link inside holds up a ring that also leaves the node.
  const Ring slow = ring_of({8, 4}, 8, {{1e9, 1e-3}, {0.1e9, 2e-3}});
  CHECK((slow.hop.bytes_per_s == 0.1e9 && slow.hop.latency_s == 2e-3));
  CHECK(ring_of({2, 2}, 1, kLinks).hop.bytes_per_s == 0.0);  // no ring at all
}

TEST_CASE("gradients hide behind the overlap, everything else is waited for", "[plan]") {
  // Two nodes of two ranks, groups inside. 10 steps of warm-up, then 20 in groups, 5 of rebound.
  const std::vector<PhaseSpan> spans = {{StepPhase::kWarmup, -1, 0, 10},
                                        {StepPhase::kAb, 0, 10, 30},
                                        {StepPhase::kRebound, 0, 30, 35}};
  const std::map<LedgerKey, LedgerEntry> first_rank = {
      // A bucket of 1 GB a step: 2 * 3/4 * 1 s and 6 ms, ten times.
      {key(Phase::kWarmup, "world", Purpose::kGradients), entry(10, 10'000'000'000)},
      {key(Phase::kWarmup, "world", Purpose::kMetrics), entry(10, 0)},  // 60 ms
      // Two ranks: 2 * 1/2 * 0.1 s and 0.2 ms, twenty times.
      {key(Phase::kAb, "group", Purpose::kGradients), entry(20, 8'000'000'000)},
      {key(Phase::kMerge, "world", Purpose::kMergeFactors), entry(1, 2'000'000'000)}};  // 3.006 s
  const auto time = [&](double step_seconds, double overlap) {
    return plan_time(first_rank, spans, {4, 2}, 2, {kLinks, step_seconds, overlap});
  };
  const TimePlan none = time(2.0, 0.0);
  REQUIRE(none.phases.size() == 4);
  CHECK((none.phases[0].phase == Phase::kWarmup && none.phases[0].steps == 10));
  CHECK(none.phases[0].compute == Approx(20.0));
  CHECK(none.phases[0].communication == Approx(15.06 + 0.06));
  CHECK(none.phases[0].waiting == Approx(15.12));
  CHECK((none.phases[1].phase == Phase::kAb && none.phases[1].steps == 20));
  CHECK(none.phases[1].communication == Approx(20 * (0.1 + 0.0002)));
  CHECK((none.phases[2].phase == Phase::kMerge && none.phases[2].steps == 0));
  CHECK(none.phases[2].seconds() == Approx(3.006));
  CHECK(none.phases[3].seconds() == Approx(10.0));  // no collective, five steps
  CHECK(none.seconds() == Approx(70.0 + 15.12 + 2.004 + 3.006));
  // 0.5 of 2 s hides 1 s of each of ten steps; groups wait for nothing.
  const TimePlan half = time(2.0, 0.5);
  CHECK(half.phases[0].waiting == Approx(5.12));
  CHECK(half.phases[1].waiting == Approx(0.0).margin(1e-12));
  CHECK(half.phases[2].waiting == Approx(3.006));
  // Without compute nothing hides.
  CHECK(time(0.0, 0.5).waiting() == Approx(none.waiting()));
}

TEST_CASE("hours and node-hours of the methods, side by side", "[plan]") {
  const std::string file = AB_SOURCE_DIR "/models/configs/imagenet/vit_b16_4k.json";
  const auto times = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"plan", "--config", file, "--nodes", "4", "--ranks-per-node", "4"});
    const Options options = parse_options(more);
    return method_times(load_config(options.config, options.settings), {16, 4}, options);
  };
  const Json rows = times({"--step-seconds", "0.3", "--link-gbit", "8", "--node-link-gbit", "800",
                           "--overlap", "0", "--compression", "2"});
  REQUIRE(rows.size() == 3);
  CHECK((rows[0]["method"] == "ddp" && rows[1]["method"] == "ab"));
  CHECK(rows[2]["method"] == "ab-nogroups");
  // ddp: 45,000 steps of 0.3 s and 2 * 15/16 * 346,160,032 bytes at 1 GB/s; little else is sent.
  const double step = 0.3 + 2.0 * 15.0 / 16.0 * 0.346160032;
  CHECK(rows[0]["seconds"].get<double>() == Approx(45000.0 * step).epsilon(1e-4));
  CHECK(rows[0]["hours"].get<double>() * 4.0 == Approx(rows[0]["node_hours"].get<double>()));
  CHECK(rows[0]["images_per_s"].get<double>() == Approx(4096.0 / step).epsilon(1e-4));
  // ab: the full-rank steps as ddp's; in groups four ranks send A (the larger factor) and what is
  // unfactored at 100 GB/s, which is less than 2 * 3/4 * 346 MB, 5.2 ms.
  const double full = 16800.0 * step, in_groups = 28200.0 * 0.3;
  const double ab = rows[1]["seconds"].get<double>();
  CHECK((ab > full + in_groups && ab < full + 28200.0 * 0.3052 + 60.0));
  CHECK(rows[2]["seconds"].get<double>() > ab);
  CHECK(rows[2]["seconds"].get<double>() < rows[0]["seconds"].get<double>());
  // 853 images/s on a rank are 256/853 s of compute.
  const Json rate = times({"--images-per-second", "853", "--link-gbit", "8", "--compression", "2"});
  CHECK(rate[0]["phases"][1]["compute_s"].get<double>() == Approx(45000.0 * 256.0 / 853.0));
  // Sixteen ranks are one group of sixteen; the other methods are shown all the same.
  const Json others = times({"--link-gbit", "8", "--set", "ab.group_size=16"});
  CHECK((others[1].contains("error") && others[2].contains("hours")));
}

TEST_CASE("times without the links they need are refused", "[plan]") {
  const auto model = [](std::vector<std::string> more, int nodes) {
    more.insert(more.begin(), {"plan", "--config", "x", "--ranks-per-node", "4"});
    return time_model(parse_options(more), {4 * nodes, 4}, 256);
  };
  CHECK_THROWS_WITH(model({"--step-seconds", "1"}, 2), Catch::Contains("--link-gbit"));
  CHECK_THROWS_WITH(model({"--step-seconds", "1", "--node-link-gbit", "9"}, 2),
                    Catch::Contains("--link-gbit"));
  CHECK(model({"--step-seconds", "1", "--node-link-gbit", "8"}, 1).links.inside.bytes_per_s == 1e9);
  // What is left out inside a node is as between nodes.
  const TimeModel same = model({"--link-gbit", "16", "--link-latency-us", "5"}, 2);
  CHECK((same.links.inside.bytes_per_s == 2e9 && same.links.inside.latency_s == Approx(5e-6)));
}
