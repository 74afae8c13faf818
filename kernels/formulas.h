// Scalar functions that host and GPU compute with the same arithmetic: exp, log, the normal
// distribution, GELU. Branch-free, so that host loops over them vectorise without fast-math; a NaN
// comes out as a NaN. Coefficients: minimax fits of relative error, made for this file.
// Largest errors over a sweep against double (tests/kernels/formulas_test.cpp):
//   exp_float and exp_down 1.1 ulp, log_float 0.9 ulp; Phi 6e-7 relative for x > -2, 2.5e-6 down to
//   x = -10; gelu 8e-8 (1 + |x|) absolute, gelu_slope 2.5e-7 absolute.
#pragma once
#include <cmath>

#include "kernels/numbers.h"

namespace ab {

// condition ? a : b without a branch that the vectoriser would have to undo.
AB_FN float select(bool condition, float a, float b) {
  const uint32_t mask = 0u - static_cast<uint32_t>(condition);
  return float_of((bits_of(a) & mask) | (bits_of(b) & ~mask));
}

// e^r for |r| <= ln 2 / 2.
AB_FN float exp_polynomial(float r) {
  float p = 0.00138144661f;
  p = p * r + 0.0083687809f;
  p = p * r + 0.0416683943f;
  p = p * r + 0.166665201f;
  p = p * r + 0.499999934f;
  return p * r * r + r + 1.0f;
}

// e^x: x = n ln 2 + r with |r| <= ln 2 / 2; e^r by a polynomial; 2^n in two factors, so that
// results down to the smallest denormal and up to infinity come out of the same instructions.
AB_FN float exp_float(float x) {
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves a float's integer part
  const float shifted = x * 1.44269504088896341f + kRound;
  const float whole = shifted - kRound;
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  const int32_t n = static_cast<int32_t>(bits_of(shifted) - 0x4B400000u);
  const int32_t half = n >> 1;
  return exp_polynomial(r) * float_of(static_cast<uint32_t>(half + 127) << 23) *
         float_of(static_cast<uint32_t>(n - half + 127) << 23);
}

// e^x for x <= 0, in a third fewer instructions: 2^n is one factor. Arguments below -87 give e^-87
// = 1.6e-38, which is nothing beside the 1 that a softmax's largest term contributes.
AB_FN float exp_down(float x) {
  x = x < -87.0f ? -87.0f : x;
  constexpr float kRound = 12582912.0f;
  const float shifted = x * 1.44269504088896341f + kRound;
  const float whole = shifted - kRound;
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  // The low bits of `shifted` are n; what stands above them leaves on the left.
  return exp_polynomial(r) * float_of((bits_of(shifted) << 23) + 0x3f800000u);
}

// ln x: x = 2^e m with m in [sqrt 1/2, sqrt 2); -infinity at 0, NaN below.
AB_FN float log_float(float x) {
  constexpr uint32_t kRootHalf = 0x3f3504f3u;
  const bool denormal = x < 1.17549435e-38f;
  const float scaled = x * select(denormal, 8388608.0f, 1.0f);
  const int32_t offset = static_cast<int32_t>(bits_of(scaled) - kRootHalf);
  const float e = static_cast<float>((offset >> 23) - 23 * static_cast<int32_t>(denormal));
  const float f = float_of((static_cast<uint32_t>(offset) & 0x007fffffu) + kRootHalf) - 1.0f;
  float p = -0.0763857152f;
  p = p * f + 0.127677745f;
  p = p * f - 0.131616093f;
  p = p * f + 0.142010321f;
  p = p * f - 0.166231474f;
  p = p * f + 0.200012499f;
  p = p * f - 0.25000827f;
  p = p * f + 0.333333315f;
  const float f2 = f * f;
  const float small = p * f * f2 - 0.5f * f2 - e * 2.12194440e-4f;
  const float value = e * 0.693359375f + (f + small);
  const float infinite = float_of(0x7f800000u);
  const float special =
      select(x == 0.0f, -infinite, select(x == infinite, x, float_of(0x7fc00000u)));
  return select(x > 0.0f && x < infinite, value, special);
}

struct Normal {
  float cdf;      // Phi(x)
  float density;  // phi(x) = exp(-x^2 / 2) / sqrt(2 pi)
};

// Phi(-|x|) = exp(-x^2 / 2) R(t), t = 1 / (1 + 0.3 |x|): the factor R is smooth and small tails
// keep their relative precision, which 1 + erf(x / sqrt 2) would lose.
AB_FN Normal normal(float x) {
  const float a = fabsf(x);
  const float t = 1.0f / (1.0f + 0.3f * a);
  const float decay = exp_float(-0.5f * a * a);
  float p = 0.0384074039f;
  p = p * t - 0.169307548f;
  p = p * t + 0.228952017f;
  p = p * t - 0.0768399892f;
  p = p * t + 0.142765531f;
  p = p * t + 0.0945857446f;
  p = p * t + 0.121945295f;
  p = p * t + 0.119484203f;
  p = p * t + 7.37266386e-6f;
  const float tail = decay * p;
  return {select(x < 0.0f, tail, 1.0f - tail), decay * 0.398942280f};
}

// GELU(x) = x Phi(x), exact form (Hendrycks and Gimpel, 2016), and its derivative Phi + x phi.
AB_FN float gelu(float x) {
  return x * normal(x).cdf;
}
AB_FN float gelu_slope(float x) {
  const Normal n = normal(x);
  return n.cdf + x * n.density;
}

}  // namespace ab
