// Rows for the optimiser's kernels: AdamW, the sum of squares behind the gradient norm, and the
// clipping factor that follows from it. A GradientScale is two floats of a buffer: any bits that
// are not zero mean finite.
#include <bit>
#include <cmath>

#include "kernels/adamw.h"
#include "kernels/gradient_scale.h"
#include "kernels/launch.h"
#include "kernels/norm.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

constexpr float kDecay = 0.1f, kFactor = 0.5f;

AdamWRates adamw_rates() {
  constexpr int kUpdate = 7;
  return {0.003f, static_cast<float>(1.0 / (1.0 - std::pow(0.9, kUpdate))),
          static_cast<float>(1.0 / (1.0 - std::pow(0.999, kUpdate)))};
}

KernelCase adamw_case(int64_t n, Fill values, bool benchmark) {
  KernelCase row;
  row.kernel = "adamw";
  row.shape = "(" + std::to_string(n) + ")";
  // v is filled from [0, 1): it is never negative
  row.buffers = {output("p", n, DType::kFloat32, 4, values),
                 input("g", n, DType::kFloat32),
                 output("m", n, DType::kFloat32, 2, Fill::kNormal),
                 output("v", n, DType::kFloat32, 2, Fill::kUniform),
                 input("rates", 3, DType::kFloat32),
                 input("scale", 2, DType::kFloat32)};
  row.prepare = [](CaseValues& x) {
    const AdamWRates rates = adamw_rates();
    x[4] = {rates.lr, rates.correction1, rates.correction2};
    x[5] = {kFactor, 1.0};
  };
  row.run = [n](Stream stream, CasePointers at) {
    AdamWArguments a;
    a.n = n;
    a.weight_decay = kDecay;
    a.p = at[0], a.g = at[1], a.m = at[2], a.v = at[3], a.rates = at[4], a.scale = at[5];
    adamw(stream, a);
  };
  row.reference = [n](CaseValues& x) {
    const AdamWRates rates = adamw_rates();
    for (int64_t i = 0; i < n; ++i) {
      double &p = x[0][i], &m = x[2][i], &v = x[3][i];
      const double g = x[1][i] * kFactor;
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      p -= rates.lr *
           (m * rates.correction1 / (std::sqrt(v * rates.correction2) + 1e-8) + kDecay * p);
    }
  };
  row.bytes = 28.0 * static_cast<double>(n);
  row.flops = 16.0 * static_cast<double>(n);
  row.benchmark = benchmark;
  return row;
}

KernelCase norm_case(int64_t n, Fill values, bool benchmark) {
  const int64_t terms = n < kFlatChunk ? n : kFlatChunk;  // of one float sum
  KernelCase row;
  row.kernel = "sum_of_squares";
  row.shape = "(" + std::to_string(n) + ")";
  row.buffers = {input("x", n, DType::kFloat32, values),
                 scratch(static_cast<size_t>(sum_of_squares_partials(n)) * sizeof(float)),
                 output("result", 1, DType::kFloat64, terms)};
  row.run = [n](Stream stream, CasePointers at) { sum_of_squares(stream, n, at[0], at[1], at[2]); };
  row.reference = [](CaseValues& x) {
    double total = 0.0;
    for (const double value : x[0]) total += value * value;
    x[2][0] = total;
  };
  row.bytes = 4.0 * static_cast<double>(n);
  row.flops = 2.0 * static_cast<double>(n);
  row.benchmark = benchmark;
  return row;
}

// Squares of a norm of 5, clipped to `clip`.
KernelCase clip_case(double clip) {
  KernelCase row;
  row.kernel = "gradient_scale";
  row.shape = "(norm 5, clip " + std::to_string(static_cast<int>(clip)) + ")";
  row.buffers = {input("squares", 1, DType::kFloat64), input("loss", 1, DType::kFloat32),
                 output("scale", 2, DType::kFloat32)};
  row.prepare = [](CaseValues& x) { x[0][0] = 25.0; };
  row.run = [clip](Stream stream, CasePointers at) {
    gradient_scale(stream, at[0], at[1], clip, at[2]);
  };
  row.reference = [clip](CaseValues& x) {
    x[2] = {clip > 0.0 && clip < 5.0 ? clip / (5.0 + 1e-6) : 1.0, std::bit_cast<float>(1)};
  };
  row.bytes = 20.0;
  return row;
}

}  // namespace

void add_optim_cases(CaseList& cases) {
  constexpr int64_t kLarge = int64_t{1} << 24;
  for (const int64_t n : {int64_t{1}, int64_t{17}, int64_t{4099}, 3 * kFlatChunk + 1}) {
    cases.push_back(adamw_case(n, Fill::kNormal, false));
    cases.push_back(norm_case(n, Fill::kNormal, false));
  }
  for (const double clip : {0.0, 1.0, 7.0}) cases.push_back(clip_case(clip));
  cases.push_back(adamw_case(1021, Fill::kHard, false));
  cases.push_back(norm_case(10007, Fill::kHard, false));
  cases.push_back(adamw_case(kLarge, Fill::kNormal, true));
  cases.push_back(norm_case(kLarge, Fill::kNormal, true));
}

}  // namespace ab
