// The arithmetic of the stand-ins' products: D = alpha op(A) op(B) + beta C over strided matrices,
// fp32 or bf16 in memory, summed in float in the order of k. Addresses are real ones.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/numbers.h"

namespace ab::standin {

// 10 bits of mantissa, to nearest: what tensor cores take of an fp32 operand.
inline float tf32(float value) {
  return float_of((bits_of(value) + 0x1000u) & ~0x1fffu);
}

struct Strided {
  void* data = nullptr;
  bool bf16 = false;
  int64_t row_stride = 1, column_stride = 1;
  bool as_tf32 = false;  // an operand that is rounded on its way

  float get(int64_t i, int64_t j) const {
    const int64_t at = i * row_stride + j * column_stride;
    if (bf16) return load(static_cast<const BFloat16*>(data)[at]);
    const float value = static_cast<const float*>(data)[at];
    return as_tf32 ? tf32(value) : value;
  }
  void set(int64_t i, int64_t j, float value) const {
    const int64_t at = i * row_stride + j * column_stride;
    if (bf16)
      store(static_cast<BFloat16*>(data) + at, value);
    else
      static_cast<float*>(data)[at] = value;
  }
};

// a (m, k), b (k, n), c and d (m, n); c is not read when beta is 0. bias: one value for each row,
// added before d is rounded, or none.
void product(int64_t m, int64_t n, int64_t k, float alpha, const Strided& a, const Strided& b,
             float beta, const Strided& c, const Strided& d, const std::vector<float>& bias = {});

}  // namespace ab::standin
