// The scalar functions of kernels/formulas.h against double, over sweeps: the errors that the
// header promises, and the special values.
#include "kernels/formulas.h"

#include <algorithm>
#include <limits>

#include "tests/catch.h"

namespace ab {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Error in units of the last place of the correctly rounded value.
double ulps(float got, double wanted) {
  const float nearest = std::fabs(static_cast<float>(wanted));
  return std::fabs(got - wanted) / (std::nextafter(nearest, kInfinity) - nearest);
}

double exact_cdf(double x) {
  return 0.5 * std::erfc(-x / std::sqrt(2.0));
}
double exact_density(double x) {
  return std::exp(-0.5 * x * x) / std::sqrt(2.0 * M_PI);
}

}  // namespace

TEST_CASE("exp_down is exp_float for arguments from -87 to 0, and nearly nothing below") {
  double worst = 0.0;
  for (int i = 0; i <= 870000; ++i) {
    const float x = -1e-4f * static_cast<float>(i);
    worst = std::max(worst, ulps(exp_down(x), std::exp(static_cast<double>(x))));
  }
  CHECK(worst < 1.1);
  CHECK(exp_down(0.0f) == 1.0f);
  CHECK(exp_down(-0.0f) == 1.0f);
  CHECK(exp_down(-88.0f) == exp_down(-87.0f));
  CHECK(exp_down(-kInfinity) < 2e-38f);
  CHECK(std::isnan(exp_down(NAN)));
  // Whatever its payload, a NaN stays one.
  for (uint32_t payload = 1; payload < 0x400000u; payload += 4099)
    CHECK(std::isnan(exp_down(float_of(0x7fc00000u | payload))));
}

TEST_CASE("exp_float is within 1.1 ulp where the result is a normal number") {
  double worst = 0.0;
  for (int i = 0; i < 2000000; ++i) {
    const float x = -87.3f + 176.0f * static_cast<float>(i) / 2000000.0f;
    worst = std::max(worst, ulps(exp_float(x), std::exp(static_cast<double>(x))));
  }
  CHECK(worst < 1.1);
  CHECK(exp_float(0.0f) == 1.0f);
  CHECK(exp_float(-kInfinity) == 0.0f);
  CHECK(exp_float(kInfinity) == kInfinity);
  CHECK(exp_float(89.0f) == kInfinity);
  CHECK(exp_float(-104.0f) == 0.0f);
  CHECK(std::isnan(exp_float(NAN)));
}

TEST_CASE("log_float is within 0.9 ulp, denormals included") {
  double worst = 0.0;
  for (uint32_t bits = 1; bits < 0x7f800000u; bits += 1999) {
    const float x = float_of(bits);
    worst = std::max(worst, ulps(log_float(x), std::log(static_cast<double>(x))));
  }
  CHECK(worst < 0.9);
  CHECK(log_float(1.0f) == 0.0f);
  CHECK(log_float(0.0f) == -kInfinity);
  CHECK(log_float(kInfinity) == kInfinity);
  CHECK(std::isnan(log_float(-1.0f)));
  CHECK(std::isnan(log_float(NAN)));
}

TEST_CASE("the normal distribution and GELU keep their precision in the tails") {
  double middle = 0.0, tail = 0.0, value = 0.0, slope = 0.0;
  for (int i = 0; i <= 2000000; ++i) {
    const float x = -10.0f + 20.0f * static_cast<float>(i) / 2000000.0f;
    const double p = exact_cdf(x), error = std::fabs(normal(x).cdf - p) / p;
    (x > -2.0f ? middle : tail) = std::max(x > -2.0f ? middle : tail, error);
    value = std::max(value, std::fabs(gelu(x) - x * p) / (1.0 + std::fabs(x)));
    slope = std::max(slope, std::fabs(gelu_slope(x) - (p + x * exact_density(x))));
  }
  CHECK(middle < 6e-7);
  CHECK(tail < 2.5e-6);
  CHECK(value < 8e-8);
  CHECK(slope < 3e-7);  // 2.503e-7 at -O1
}

}  // namespace ab
