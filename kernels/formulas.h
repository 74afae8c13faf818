// Scalar functions that host and GPU compute with the same arithmetic: exp, log, the normal
// distribution's tail, GELU. Branch-free, so that host loops over them vectorise without fast-math;
// a NaN comes out as a NaN. Coefficients: minimax fits of relative error, made for this file.
// Largest errors over a sweep against double (tests/kernels/formulas_test.cpp):
//   exp_float and exp_down 1.1 ulp, log_float 0.9 ulp; gelu 8e-8 (1 + |x|) absolute and 1.4e-3 of
//   its value down to x = -8; gelu_slope 2.5e-7 absolute.
// Those named _short serve results that are rounded to bf16, to 2^-9 of their size:
// gelu_short 3.2e-4 of its value up to |x| = 6.
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
  const float r2 = r * r;
  const float high = 0.00138144661f * r + 0.0083687809f, low = 0.0416683943f * r + 0.166665201f;
  const float p = (high * r2 + low) * r + 0.499999934f;
  return p * r2 + r + 1.0f;
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

// e^x for -88.3 <= x <= 0, in half the instructions: 2^n is one factor, for n = -127 it is 0.
AB_FN float exp_between(float x) {
  constexpr float kRound = 12582912.0f;
  const float shifted = x * 1.44269504088896341f + kRound;
  const float whole = shifted - kRound;
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  // The low bits of `shifted` are n; what stands above them leaves on the left.
  return exp_polynomial(r) * float_of((bits_of(shifted) << 23) + 0x3f800000u);
}

// e^x for x <= 0. Arguments below -87 give e^-87 = 1.6e-38, which is nothing beside the 1 that a
// softmax's largest term contributes.
AB_FN float exp_down(float x) {
  return exp_between(x < -87.0f ? -87.0f : x);
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

// c0 + c1 x + c2 x^2 + ..., innermost last.
AB_FN float horner(float, float c) {
  return c;
}
template <class... Float>
AB_FN float horner(float x, float c0, Float... more) {
  return horner(x, more...) * x + c0;
}

// 2^y for -127.4 < y <= 0, within 2e-7, from 2^r with |r| <= 1/2; 0 below -126.5.
AB_FN float exp2_between(float y) {
  constexpr float kRound = 12582912.0f;
  const float shifted = y + kRound;
  const float p = horner(y - (shifted - kRound), 1.0f, 0.693147004f, 0.240222424f, 0.0555073358f,
                         0.00967151299f, 0.00132647273f);
  return p * float_of((bits_of(shifted) << 23) + 0x3f800000u);
}

// GELU(x) = x Phi(x), exact form (Hendrycks and Gimpel, 2016), from the tail Phi(-a) of a = |x|:
//   x Phi(x) = max(x, 0) - a Phi(-a)
//   Phi + x phi = q or, for x > 0, 1 - q with q = Phi(-a) - a phi(a)
// log2 Phi(-a) is nearly a parabola and q exp(a^2 / 2) is smooth: a polynomial in even and odd
// powers and a power of two each, no division. The argument ends where that power is 0, as Phi(-13)
// = 6e-39 may be.

// |x|, at most `most`. Compared as integers, which costs no mask: a NaN becomes `most`, and has to
// enter the result in another way.
AB_FN float magnitude(float x, float most) {
  const uint32_t bits = bits_of(x) & 0x7fffffffu, limit = bits_of(most);
  return float_of(bits < limit ? bits : limit);
}
AB_FN float gelu(float x) {
  const float a = magnitude(x, 13.0f), a2 = a * a;
  const float even = horner(a2, -0.999999881f, -0.459159225f, 0.00727097271f, -0.000135899725f,
                            -3.66116774e-6f, -4.27684199e-9f);
  const float odd =
      horner(a2, -1.15111113f, -0.0526441224f, -0.000283690897f, 3.36772391e-5f, 1.97907895e-7f);
  return (x < 0.0f ? 0.0f : x) - a * exp2_between(odd * a + even);
}
AB_FN float gelu_slope(float x) {
  float a = fabsf(x);
  a = a > 13.27f ? 13.27f : a;
  const float a2 = a * a;
  const float even = horner(a2, 0.499999982f, 0.249970664f, 0.0618947556f, 0.00895925472f,
                            0.000553308133f, 7.39908184e-6f);
  const float odd = horner(a2, -0.79788275f, -0.132795257f, -0.0254256432f, -0.00256301291f,
                           -8.23663622e-5f, -2.98646231e-7f);
  const float q = exp2_between(-0.721347520f * a2) * (odd * a + even);
  return x < 0.0f ? q : 1.0f - q;
}

// The same for results that are rounded to bf16: half the instructions, no division. Arguments come
// from bf16 values, whose NaNs have no low bits that the shift by 23 would carry into the exponent.

// 2^y for -126 <= y <= 127, y = n + r with |r| <= 1/2: 2^r by a polynomial of degree kTerms,
// n added to its exponent. Within 1.1e-4 for 3, 3e-6 for 4.
template <int kTerms>
AB_FN float exp2_short(float y) {
  constexpr float kRound = 12582912.0f;
  const float shifted = y + kRound;
  const float r = y - (shifted - kRound), r2 = r * r;
  float p;
  if constexpr (kTerms == 3)
    p = (0.0550089292f * r + 0.242210954f) * r2 + (0.693282902f * r + 1.0f);
  else
    p = (0.00958285294f * r2 + (0.0559064262f * r + 0.240240991f)) * r2 + (0.693124175f * r + 1.0f);
  return float_of(bits_of(p) + (bits_of(shifted) << 23));
}

// e^(scale x) for scale x <= 0, as precise as a sum of the results for values of type T has use
// for.
template <class T>
AB_FN float exp_of(float x, float scale = 1.0f) {
  if constexpr (sizeof(T) == 4) {
    return exp_down(scale * x);
  } else {
    const float y = x * (scale * 1.44269504f);
    return exp2_short<4>(y < -126.0f ? -126.0f : y);
  }
}

// log2 Phi(-a) to fewer digits: Phi(-a) within 2e-4 up to a = 6, 2e-3 beyond. At 12.5 2^y is still
// a normal number.
AB_FN float gelu_short(float x) {
  const float a = magnitude(x, 12.5f), a2 = a * a;
  const float even = horner(a2, -1.00027597f, -0.465468824f, 0.00655323314f, 2.70321452e-5f);
  const float odd = horner(a2, -1.14780176f, -0.0486065224f, -0.000562564936f, -5.47553782e-7f);
  return (x < 0.0f ? 0.0f : x) - a * exp2_short<3>(odd * a + even);
}

}  // namespace ab
