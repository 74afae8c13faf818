// BFloat16: the upper half of a float; 8 exponent bits, 7 mantissa bits. Storage only: kernels load
// it to float, compute in float and round once on the way out, to nearest, ties to even, NaN kept.
#pragma once
#include <cstring>

#include "kernels/stream.h"

namespace ab {

struct BFloat16 {
  uint16_t bits;
};

AB_FN uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

AB_FN float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

AB_FN float load(float value) {
  return value;
}
AB_FN float load(BFloat16 value) {
  return float_of(static_cast<uint32_t>(value.bits) << 16);
}

AB_FN void store(float* to, float value) {
  *to = value;
}
AB_FN void store(BFloat16* to, float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const uint32_t quiet = bits | 0x400000u;  // rounding could turn a NaN into infinity
  to->bits = static_cast<uint16_t>((value != value ? quiet : rounded) >> 16);
}

}  // namespace ab
