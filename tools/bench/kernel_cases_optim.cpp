// Rows for the optimiser's kernels: AdamW and the sum of squares behind the gradient norm.
#include <cmath>

#include "kernels/adamw.h"
#include "kernels/launch.h"
#include "kernels/norm.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

AdamWArguments adamw_arguments(int64_t n) {
  constexpr int kUpdate = 7;
  AdamWArguments a;
  a.n = n;
  a.lr = 0.003f;
  a.weight_decay = 0.1f;
  a.correction1 = static_cast<float>(1.0 / (1.0 - std::pow(0.9, kUpdate)));
  a.correction2 = static_cast<float>(1.0 / (1.0 - std::pow(0.999, kUpdate)));
  a.gradient_scale = 0.5f;
  return a;
}

KernelCase adamw_case(int64_t n, Fill values, bool benchmark) {
  KernelCase row;
  row.kernel = "adamw";
  row.shape = "(" + std::to_string(n) + ")";
  // v is filled from [0, 1): it is never negative
  row.buffers = {output("p", n, DType::kFloat32, 4, values), input("g", n, DType::kFloat32),
                 output("m", n, DType::kFloat32, 2, Fill::kNormal),
                 output("v", n, DType::kFloat32, 2, Fill::kUniform)};
  row.run = [n](Stream stream, CasePointers at) {
    AdamWArguments a = adamw_arguments(n);
    a.p = at[0], a.g = at[1], a.m = at[2], a.v = at[3];
    adamw(stream, a);
  };
  row.reference = [n](CaseValues& x) {
    const AdamWArguments a = adamw_arguments(n);
    for (int64_t i = 0; i < n; ++i) {
      double &p = x[0][i], &m = x[2][i], &v = x[3][i];
      const double g = x[1][i] * a.gradient_scale;
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      p -= a.lr * (m * a.correction1 / (std::sqrt(v * a.correction2) + a.eps) + a.weight_decay * p);
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

}  // namespace

void add_optim_cases(CaseList& cases) {
  constexpr int64_t kLarge = int64_t{1} << 24;
  for (const int64_t n : {int64_t{1}, int64_t{17}, int64_t{4099}, 3 * kFlatChunk + 1}) {
    cases.push_back(adamw_case(n, Fill::kNormal, false));
    cases.push_back(norm_case(n, Fill::kNormal, false));
  }
  cases.push_back(adamw_case(1021, Fill::kHard, false));
  cases.push_back(norm_case(10007, Fill::kHard, false));
  cases.push_back(adamw_case(kLarge, Fill::kNormal, true));
  cases.push_back(norm_case(kLarge, Fill::kNormal, true));
}

}  // namespace ab
