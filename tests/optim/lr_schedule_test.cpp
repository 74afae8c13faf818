// Learning rates at places where the formulas can be worked out by hand.
#include "optim/lr_schedule.h"

#include "tests/catch.h"

using namespace ab;

namespace {

// 10 warm-up epochs of 4 updates: wI = 40; 100 epochs: the cosine runs over 360 updates.
LrSettings example() {
  return {1e-3, 1e-5, 2e-5, 10, 100, 4, 8};
}

bool close(double a, double b) {
  return a == Approx(b).epsilon(1e-12);
}

}  // namespace

TEST_CASE("scheduled learning rate: warm-up, peak, quarter points, end") {
  const LrSettings s = example();
  CHECK(scheduled_lr(s, 0) == 1e-5);
  CHECK(close(scheduled_lr(s, 10), 1e-5 + 0.25 * 9.9e-4));
  CHECK(close(scheduled_lr(s, 40), 1e-3));
  // A third of the way: cos(pi/3) = 1/2, so 3/4 of the way down; half: one half; the end: lr_min.
  CHECK(close(scheduled_lr(s, 160), 2e-5 + 0.75 * 9.8e-4));
  CHECK(close(scheduled_lr(s, 220), 2e-5 + 0.5 * 9.8e-4));
  CHECK(close(scheduled_lr(s, 280), 2e-5 + 0.25 * 9.8e-4));
  CHECK(close(scheduled_lr(s, 400), 2e-5));
  CHECK(close(scheduled_lr(s, 500), 2e-5));
}

TEST_CASE("scheduled learning rate: no warm-up, warm-up alone, part of an epoch") {
  LrSettings s = example();
  s.warmup_epochs = 0;
  CHECK(close(scheduled_lr(s, 0), 1e-3));
  CHECK(close(scheduled_lr(s, 200), 2e-5 + 0.5 * 9.8e-4));
  s = example();
  s.epochs = s.warmup_epochs;
  CHECK(close(scheduled_lr(s, 39), 1e-5 + 39.0 / 40.0 * 9.9e-4));
  CHECK(close(scheduled_lr(s, 40), 1e-3));
  s = example();
  s.warmup_epochs = 0.5;  // two updates
  CHECK(close(scheduled_lr(s, 1), 1e-5 + 0.5 * 9.9e-4));
}

TEST_CASE("rebound climbs to the schedule in R updates") {
  const LrSettings s = example();  // R = 8
  const double top = scheduled_lr(s, 220);
  CHECK(learning_rate(s, 220, 0) == top);  // no border yet
  CHECK(learning_rate(s, 220, 1) == 1e-5);
  CHECK(close(learning_rate(s, 220, 3), 1e-5 + 2.0 / 8.0 * (top - 1e-5)));
  CHECK(close(learning_rate(s, 220, 8), 1e-5 + 7.0 / 8.0 * (top - 1e-5)));
  CHECK(learning_rate(s, 220, 9) == top);
  LrSettings none = s;
  none.rebound_steps = 0;
  CHECK(learning_rate(none, 220, 1) == top);
  // Never above the schedule: here its end lies below the start of the climb.
  LrSettings low = s;
  low.min_lr = 1e-6;
  CHECK(learning_rate(low, 400, 1) == scheduled_lr(low, 400));
}

TEST_CASE("rebound longer than the rebound phase peaks at its share of the schedule") {
  // Cycles of 12 + 3 updates with R = 6, as in the paper's ratios (rebound 1/4, lr rebound 1/2 of
  // AB).
  LrSettings s = example();
  s.rebound_steps = 6;
  const auto spans = step_schedule({Method::kAb, 100, 40, 12, 3, std::nullopt});
  const auto lr = [&](int64_t step) {
    return learning_rate(s, step, steps_since_border(spans, step));
  };
  CHECK(close(lr(39), scheduled_lr(s, 39)));  // warm-up
  CHECK(lr(40) == 1e-5);                      // decompose
  CHECK(close(lr(43), 1e-5 + 3.0 / 6.0 * (scheduled_lr(s, 43) - 1e-5)));
  CHECK(lr(46) == scheduled_lr(s, 46));  // seventh update: back on schedule
  CHECK(lr(52) == 1e-5);                 // merge
  CHECK(close(lr(54), 1e-5 + 2.0 / 6.0 * (scheduled_lr(s, 54) - 1e-5)));
  CHECK(lr(55) == 1e-5);  // decompose: the climb begins anew
}

TEST_CASE("updates since the last border") {
  const auto spans = step_schedule({Method::kAb, 100, 40, 12, 3, std::nullopt});
  CHECK(steps_since_border(spans, 0) == 0);
  CHECK(steps_since_border(spans, 39) == 0);
  CHECK(steps_since_border(spans, 40) == 1);
  CHECK(steps_since_border(spans, 51) == 12);
  CHECK(steps_since_border(spans, 52) == 1);
  CHECK(steps_since_border(spans, 99) == 3);  // 55 + 12 = 67, 70, 82, 85, 97: rebound from 97 on
}
