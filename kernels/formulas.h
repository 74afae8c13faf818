// Scalar functions that host and GPU compute with the same arithmetic: exp, log, the normal
// distribution's tail, GELU. Branch-free, so that host loops over them vectorise without fast-math;
// a NaN comes out as a NaN. Coefficients: minimax fits of relative error, made for this file.
// Largest errors over a sweep against double (tests/kernels/formulas_test.cpp):
//   exp_float 1.1 ulp, exp_of<float> 2e-7 + 8e-8 |x| relative (2e-8 |x| where products are fused
//   into sums, as optimised builds do), log_float 0.9 ulp; Phi(-a) 6e-7 relative for a < 2, 2.5e-6
//   up to a = 10; gelu 8e-8 (1 + |x|) absolute, gelu_slope 2.5e-7 absolute.
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

// 2^(a b) for -127.4 < a b <= 0, from 2^r with |r| <= 1/2; 0 below -126.5. Within 2e-7, and what
// rounding a b costs where the compiler does not fuse it with the subtraction: 4.2e-8 |a b|.
AB_FN float exp2_between(float a, float b = 1.0f) {
  constexpr float kRound = 12582912.0f;
  const float shifted = a * b + kRound;
  const float p = horner(a * b - (shifted - kRound), 1.0f, 0.693147004f, 0.240222424f,
                         0.0555073358f, 0.00967151299f, 0.00132647273f);
  return p * float_of((bits_of(shifted) << 23) + 0x3f800000u);
}

// c0 + c1 a + ... + c7 a^7 in pairs of pairs: a third of the latency of Horner's chain, which is
// what a short loop body waits for.
AB_FN float polynomial7(float a, float c0, float c1, float c2, float c3, float c4, float c5,
                        float c6, float c7) {
  const float a2 = a * a;
  const float low = (c3 * a + c2) * a2 + (c1 * a + c0), high = (c7 * a + c6) * a2 + (c5 * a + c4);
  return high * (a2 * a2) + low;
}

// The part of |x| that a normal tail depends on. At the end 2^-127 is 0 in exp_between, as
// Phi(-13.27) = 2e-40 may be, and infinity does not meet that zero.
AB_FN float tail_argument(float x) {
  const float a = fabsf(x);
  return a > 13.27f ? 13.27f : a;
}

// R(a) = Phi(-a) exp(a^2 / 2) for a >= 0, as a polynomial in t = 1 / (1 + 0.3 a): smooth, so that
// small tails keep their relative precision, which 1 + erf(x / sqrt 2) would lose.
AB_FN float tail_ratio(float a) {
  const float t = 1.0f / (1.0f + 0.3f * a);
  return polynomial7(t, 0.119484203f, 0.121945295f, 0.0945857446f, 0.142765531f, -0.0768399892f,
                     0.228952017f, -0.169307548f, 0.0384074039f) *
             t +
         7.37266386e-6f;
}

// Phi(-a), the normal distribution's tail, for 0 <= a <= 13.27.
AB_FN float normal_tail(float a) {
  return exp_between(-0.5f * a * a) * tail_ratio(a);
}

// GELU(x) = x Phi(x), exact form (Hendrycks and Gimpel, 2016), from the tail alone:
//   x Phi(x) = max(x, 0) - a Phi(-a)
//   Phi + x phi = q or, for x > 0, 1 - q with q = Phi(-a) - a phi(a)
AB_FN float gelu(float x) {
  const float a = tail_argument(x);
  return (x < 0.0f ? 0.0f : x) - a * normal_tail(a);
}
// q exp(a^2 / 2) is smooth: a polynomial in even and odd powers, no division.
AB_FN float gelu_slope(float x) {
  const float a = tail_argument(x), a2 = a * a;
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

// e^(scale x) for x <= 0 and scale > 0, as precise as a sum of the results for values of type T has
// use for. Arguments below -87 give e^-87 = 1.6e-38, which is nothing beside the 1 that a softmax's
// largest term contributes.
template <class T>
AB_FN float exp_of(float x, float scale = 1.0f) {
  if constexpr (sizeof(T) == 4) {
    const float least = -87.0f / scale;
    return exp2_between(x < least ? least : x, scale * 1.44269504f);
  } else {
    const float y = x * (scale * 1.44269504f);
    return exp2_short<4>(y < -126.0f ? -126.0f : y);
  }
}

// |x|, at most `most`. Compared as integers, which costs no mask: a NaN becomes `most`, and has to
// enter the result in another way.
AB_FN float magnitude(float x, float most) {
  const uint32_t bits = bits_of(x) & 0x7fffffffu, limit = bits_of(most);
  return float_of(bits < limit ? bits : limit);
}
// log2 Phi(-a) is nearly a parabola: Phi(-a) within 2e-4 up to a = 6, 2e-3 beyond. At 12.5 2^y is
// still a normal number.
AB_FN float gelu_short(float x) {
  const float a = magnitude(x, 12.5f), a2 = a * a;
  const float even = horner(a2, -1.00027597f, -0.465468824f, 0.00655323314f, 2.70321452e-5f);
  const float odd = horner(a2, -1.14780176f, -0.0486065224f, -0.000562564936f, -5.47553782e-7f);
  return (x < 0.0f ? 0.0f : x) - a * exp2_short<3>(odd * a + even);
}

}  // namespace ab
