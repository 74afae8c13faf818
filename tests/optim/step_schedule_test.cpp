// Phase lists: small ones written out by hand, the published ones by counting in closed form.
#include "optim/step_schedule.h"

#include "engine/error.h"
#include "tests/catch.h"

using namespace ab;

namespace {

constexpr StepPhase kW = StepPhase::kWarmup, kA = StepPhase::kAb, kR = StepPhase::kRebound;

StepScheduleSettings own(int64_t total, int64_t warmup, int64_t ab_steps, int64_t rebound) {
  return {Method::kAb, total, warmup, ab_steps, rebound, std::nullopt};
}

StepScheduleSettings compat(int64_t total, int64_t w, int64_t s, int64_t d) {
  return {Method::kAb, total, 0, 0, 0, CompatSchedule{w, s, d}};
}

// Updates at full rank: warm-up and rebounds.
int64_t full_rank_steps(const std::vector<PhaseSpan>& spans) {
  int64_t steps = 0;
  for (const PhaseSpan& span : spans)
    if (span.phase != kA) steps += span.to - span.from;
  return steps;
}

int count(const std::vector<PhaseSpan>& spans, StepPhase phase) {
  int n = 0;
  for (const PhaseSpan& span : spans) n += span.phase == phase;
  return n;
}

// Spans touch, none is empty, phases alternate, cycles count up, and the last one ends at `total`.
void check_cover(const std::vector<PhaseSpan>& spans, int64_t total) {
  int64_t at = 0;
  int cycle = -1;
  for (const PhaseSpan& span : spans) {
    CHECK(span.from == at);
    CHECK(span.to > span.from);
    if (span.phase == kA) ++cycle;
    CHECK(span.cycle == cycle);
    at = span.to;
  }
  CHECK(at == total);
}

}  // namespace

TEST_CASE("own counter: a schedule written out by hand") {
  // 100 steps, warm-up 20, cycles of 30 + 10: 20-50-60, 60-90-100.
  const std::vector<PhaseSpan> expected = {
      {kW, -1, 0, 20}, {kA, 0, 20, 50}, {kR, 0, 50, 60}, {kA, 1, 60, 90}, {kR, 1, 90, 100}};
  CHECK(step_schedule(own(100, 20, 30, 10)) == expected);
  auto no_groups = own(100, 20, 30, 10);
  no_groups.method = Method::kAbNoGroups;
  CHECK(step_schedule(no_groups) == expected);
}

TEST_CASE("reference counting: a schedule written out by hand") {
  // W = 23, S = 10, D = 3, 60 steps. AB from 23 to 30, then each ten: three rebound, seven AB.
  const std::vector<PhaseSpan> expected = {{kW, -1, 0, 23}, {kA, 0, 23, 30}, {kR, 0, 30, 33},
                                           {kA, 1, 33, 40}, {kR, 1, 40, 43}, {kA, 2, 43, 50},
                                           {kR, 2, 50, 53}, {kA, 3, 53, 60}};
  CHECK(step_schedule(compat(60, 23, 10, 3)) == expected);
  // W a multiple of S: the first AB phase lasts a whole S. W = 21: 21 % 10 = 1 < D, 21 to 30.
  CHECK(step_schedule(compat(40, 20, 10, 3))[1] == PhaseSpan{kA, 0, 20, 30});
  CHECK(step_schedule(compat(40, 21, 10, 3))[1] == PhaseSpan{kA, 0, 21, 30});
  // W one before a multiple: an AB phase of a single step.
  CHECK(step_schedule(compat(40, 29, 10, 3))[1] == PhaseSpan{kA, 0, 29, 30});
}

TEST_CASE("ddp is one warm-up span whatever else is set") {
  auto settings = own(100, 20, 0, -5);
  settings.method = Method::kDdp;
  CHECK(step_schedule(settings) == std::vector<PhaseSpan>{{kW, -1, 0, 100}});
  settings = compat(100, 20, 0, 7);
  settings.method = Method::kDdp;
  CHECK(step_schedule(settings) == std::vector<PhaseSpan>{{kW, -1, 0, 100}});
}

TEST_CASE("degenerate schedules") {
  // No warm-up: AB from step 0.
  CHECK(step_schedule(own(10, 0, 6, 2)) ==
        std::vector<PhaseSpan>{{kA, 0, 0, 6}, {kR, 0, 6, 8}, {kA, 1, 8, 10}});
  CHECK(step_schedule(compat(10, 0, 6, 2)) ==
        std::vector<PhaseSpan>{{kA, 0, 0, 6}, {kR, 0, 6, 8}, {kA, 1, 8, 10}});
  // No rebound: AB spans touch, each with its own cycle.
  CHECK(step_schedule(own(10, 4, 3, 0)) ==
        std::vector<PhaseSpan>{{kW, -1, 0, 4}, {kA, 0, 4, 7}, {kA, 1, 7, 10}});
  // The warm-up takes everything, with and without something left over.
  CHECK(step_schedule(own(10, 10, 3, 1)) == std::vector<PhaseSpan>{{kW, -1, 0, 10}});
  CHECK(step_schedule(own(10, 25, 0, 1)) == std::vector<PhaseSpan>{{kW, -1, 0, 10}});
  // The end falls inside AB, on its end, and inside a rebound.
  CHECK(step_schedule(own(7, 2, 10, 4)).back() == PhaseSpan{kA, 0, 2, 7});
  CHECK(step_schedule(own(12, 2, 10, 4)).back() == PhaseSpan{kA, 0, 2, 12});
  CHECK(step_schedule(own(13, 2, 10, 4)).back() == PhaseSpan{kR, 0, 12, 13});
  CHECK(step_schedule(own(0, 2, 10, 4)).empty());
}

TEST_CASE("settings that cannot work are named") {
  CHECK_THROWS_AS(step_schedule(own(10, 2, 0, 1)), ConfigError);
  CHECK_THROWS_AS(step_schedule(own(10, -1, 3, 1)), ConfigError);
  CHECK_THROWS_AS(step_schedule(own(10, 2, 3, -1)), ConfigError);
  CHECK_THROWS_AS(step_schedule(own(-1, 2, 3, 1)), ConfigError);
  CHECK_THROWS_AS(step_schedule(compat(10, 2, 0, 0)), ConfigError);
  CHECK_THROWS_AS(step_schedule(compat(10, -2, 5, 1)), ConfigError);
  CHECK_THROWS_AS(step_schedule(compat(10, 2, 5, 5)), ConfigError);
  CHECK_THROWS_WITH(step_schedule(compat(10, 2, 5, 6)), Catch::Contains("0 .. S - 1 = 4"));
}

TEST_CASE("span_of finds borders on the right side") {
  const auto spans = step_schedule(own(100, 20, 30, 10));
  CHECK(span_of(spans, 0) == spans[0]);
  CHECK(span_of(spans, 19) == spans[0]);
  CHECK(span_of(spans, 20) == spans[1]);
  CHECK(span_of(spans, 59) == spans[2]);
  CHECK(span_of(spans, 60) == spans[3]);
  CHECK(span_of(spans, 99) == spans[4]);
  CHECK_THROWS_AS(span_of(spans, 100), std::out_of_range);
  CHECK_THROWS_AS(span_of(spans, -1), std::out_of_range);
}

// The published settings (150 epochs). Reference counting: a rebound follows every multiple of S in
// (W, T), so full = W + D (ceil(T/S) - 1 - floor(W/S)) as long as the last one is whole. Own
// counting with ab = S - D: full = W + D floor((T - W)/S) + max(0, (T - W) % S - (S - D)).
TEST_CASE("the paper's schedules in both countings") {
  struct Published {
    const char* name;
    int64_t per_epoch, w, s, d;
    int64_t reference_full, own_full;
    int reference_ab, own_ab;
  };
  const Published all[] = {
      // 30000 .. 84000: 10 multiples, 24000 + 3000; own: 66000 = 11 x 6000, 24000 + 3300.
      {"ResNet-50 2k", 600, 24000, 6000, 300, 27000, 27300, 11, 11},
      // 12000 .. 42000: 11, 9300 + 3300 = 28.0 % of 45000; W % S = D: both countings are one.
      {"ResNet-50 4k", 300, 9300, 3000, 300, 12600, 12600, 12, 12},
      // 7500 .. 21000: 10, 6150 + 1500; again W % S = D.
      {"ResNet-50 8k, ViT 8k", 150, 6150, 1500, 150, 7650, 7650, 11, 11},
      // 4200 .. 10800: 12, 3750 + 900; own: 7500 = 12 x 600 + 300, 12 rebounds.
      {"ResNet-50 16k", 75, 3750, 600, 75, 4650, 4650, 13, 13},
      // 2000 .. 5600: 10, 1900 + 380; own: 3800 = 9 x 400 + 200, 9 rebounds.
      {"ResNet-50 32k", 38, 1900, 400, 38, 2280, 2242, 11, 10},
      // 26160 .. 87200: 15, 24600 + 9000; own: 65400 = 15 x 4360.
      {"ViT 2k", 600, 24600, 4360, 600, 33600, 33600, 16, 15},
      // 13080 .. 43600: 15, 12300 + 4500; own: 32700 = 15 x 2180.
      {"ViT 4k", 300, 12300, 2180, 300, 16800, 16800, 16, 15},
      // 3750 .. 10500: 10, 3075 + 750; W % S = D.
      {"ViT 16k", 75, 3075, 750, 75, 3825, 3825, 11, 11},
      // 1620 .. 5670: 16, the last cut to 30 of 38 steps: 1520 + 15 x 38 + 30;
      // own: 4180 = 15 x 270 + 130, 15 rebounds.
      {"ViT 32k", 38, 1520, 270, 38, 2120, 2090, 16, 16},
      // 4554 .. 14421: 14, 4330 + 840 = 34.5 % of 15000; own: 10670 = 14 x 759 + 44.
      {"VGG16 CIFAR-10", 100, 4330, 759, 60, 5170, 5170, 15, 15},
  };
  for (const Published& p : all) {
    INFO(p.name);
    const int64_t total = 150 * p.per_epoch;
    const auto reference = step_schedule(compat(total, p.w, p.s, p.d));
    const auto ours = step_schedule(own(total, p.w, p.s - p.d, p.d));
    check_cover(reference, total);
    check_cover(ours, total);
    CHECK(full_rank_steps(reference) == p.reference_full);
    CHECK(full_rank_steps(ours) == p.own_full);
    CHECK(count(reference, kA) == p.reference_ab);
    CHECK(count(ours, kA) == p.own_ab);
    CHECK((reference == ours) == (p.w % p.s == p.d));
    // Every reference rebound begins at a multiple of S, every later AB phase D steps after one.
    for (const PhaseSpan& span : reference) {
      if (span.phase == kR) CHECK(span.from % p.s == 0);
      if (span.phase == kA && span.cycle > 0) CHECK(span.from % p.s == p.d);
    }
  }
}

TEST_CASE("names of phases and methods") {
  CHECK(name_of(kW) == std::string("warmup"));
  CHECK(name_of(kA) == std::string("ab"));
  CHECK(name_of(kR) == std::string("rebound"));
  CHECK(name_of(Method::kDdp) == std::string("ddp"));
  CHECK(name_of(Method::kAb) == std::string("ab"));
  CHECK(name_of(Method::kAbNoGroups) == std::string("ab-nogroups"));
}
