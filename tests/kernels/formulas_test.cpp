// The scalar functions of kernels/formulas.h against double, over sweeps: the errors that the
// header promises, and the special values.
#include "kernels/formulas.h"

#include <algorithm>
#include <limits>

#include "kernels/map.h"
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

TEST_CASE("exp_of<float> keeps its relative error down to -87, and is nearly nothing below") {
#if defined(__FMA__) && defined(NDEBUG)
  constexpr double kOfArgument = 2e-8;
#else
  constexpr double kOfArgument = 8e-8;  // rounded: products are fused into sums from -O2 on
#endif
  double worst = 0.0;
  for (int i = 0; i <= 870000; ++i) {
    const float x = -1e-4f * static_cast<float>(i);
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::fabs(exp_of<float>(x) - exact) / exact / (2e-7 - kOfArgument * x));
  }
  CHECK(worst < 1.0);
  CHECK(exp_of<float>(0.0f) == 1.0f);
  CHECK(exp_of<float>(-0.0f) == 1.0f);
  CHECK(exp_of<float>(-88.0f) == exp_of<float>(-87.0f));
  CHECK(exp_of<float>(-800.0f, 0.125f) == exp_of<float>(-87.0f));
  CHECK(exp_of<float>(-kInfinity) < 2e-38f);
  CHECK(std::isnan(exp_of<float>(NAN)));
  // Whatever its payload, a NaN stays one.
  for (uint32_t payload = 1; payload < 0x400000u; payload += 4099)
    CHECK(std::isnan(exp_of<float>(float_of(0x7fc00000u | payload))));
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
    const double p = exact_cdf(x);
    if (x <= 0.0f) {
      double& worst = x > -2.0f ? middle : tail;
      worst = std::max(worst, std::fabs(normal_tail(-x) - p) / p);
    }
    value = std::max(value, std::fabs(gelu(x) - x * p) / (1.0 + std::fabs(x)));
    slope = std::max(slope, std::fabs(gelu_slope(x) - (p + x * exact_density(x))));
  }
  CHECK(middle < 6e-7);
  CHECK(tail < 2.5e-6);
  CHECK(value < 8e-8);
  CHECK(slope < 2.5e-7);
}

TEST_CASE("GELU and its slope end where their limits are") {
  for (const float x : {20.0f, 3e38f, kInfinity}) {
    CHECK(gelu(x) == x);
    CHECK(gelu_short(x) == x);
    CHECK(gelu_slope(x) == 1.0f);
    CHECK(gelu(-x) == 0.0f);
    CHECK(gelu_slope(-x) == 0.0f);
    CHECK(std::fabs(gelu_short(-x)) < 1e-30f);  // 12.5 Phi(-12.5)
  }
  CHECK(gelu(0.0f) == 0.0f);
  CHECK(gelu_short(-0.0f) == 0.0f);
  for (const float nan : {NAN, -NAN}) {
    CHECK(std::isnan(gelu(nan)));
    CHECK(std::isnan(gelu_slope(nan)));
  }
}

// Every bf16 value there is, denormals and NaNs of any payload included.
TEST_CASE("the short formulas hold their bounds on every bf16 value") {
  double power[2] = {}, value = 0.0, slope = 0.0;
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float x = load(BFloat16{static_cast<uint16_t>(bits)});
    if (std::isnan(x)) {
      const bool kept = std::isnan(gelu_short(x)) && std::isnan(gelu_slope(x)) &&
                        std::isnan(exp2_short<3>(x)) && std::isnan(exp2_short<4>(x));
      if (!kept) FAIL("a NaN got lost: " << bits);
      continue;
    }
    if (x >= -126.0f && x <= 127.0f) {
      const double wanted = std::exp2(static_cast<double>(x));
      const float got[2] = {exp2_short<3>(x), exp2_short<4>(x)};
      for (int i = 0; i < 2; ++i) power[i] = std::max(power[i], std::fabs(got[i] / wanted - 1.0));
    }
    const double p = exact_cdf(x), density = exact_density(x);
    if (std::fabs(x) <= 6.0f && std::fabs(x) > 1e-37f)
      value = std::max(value, std::fabs(gelu_short(x) / (x * p) - 1.0));
    if (std::isfinite(x)) slope = std::max(slope, std::fabs(gelu_slope(x) - (p + x * density)));
  }
  CHECK(power[0] < 1.1e-4);
  CHECK(power[1] < 3e-6);
  CHECK(value < 3.2e-4);
  CHECK(slope < 2.5e-7);
}

// What a bf16 product makes of two values: rounded in pairs, as store() rounds it.
TEST_CASE("pairs are rounded as single values are, NaNs among them") {
  for (uint32_t a = 0; a < 0x10000u; ++a)
    for (const uint32_t b : {0x3f81u, 0x0040u, 0x7f80u, 0xffc1u, (a * 40503u) & 0xffffu}) {
      const BFloat16 from[2] = {{static_cast<uint16_t>(a)}, {static_cast<uint16_t>(b)}};
      const HalfPair pair = load_pair(from);
      const float product = pair.low * pair.high;
      BFloat16 single, both[2];
      store(&single, product);
      store_pair(both, product, -product);
      if (both[0].bits != single.bits || both[1].bits != (single.bits ^ 0x8000u))
        FAIL("product of " << a << " and " << b);
    }
}

}  // namespace ab
