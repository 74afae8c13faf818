// The operation case table: every row of every kernel file, and the one place of tolerances.
#include "tools/bench/kernel_cases.h"

#include <cmath>

namespace ab {

double tolerance(DType dtype, int64_t reduction) {
  constexpr double kFloatRounding = 0x1p-24;
  // bf16: one rounding of the result (2^-9) and one of an intermediate value that is stored.
  const double storage = dtype == DType::kBFloat16 ? 0x1p-8 : 0.0;
  // A short chain of float operations per term; errors of a sum grow as a random walk.
  return storage + 8.0 * kFloatRounding * (1.0 + std::sqrt(static_cast<double>(reduction)));
}

std::vector<KernelCase> kernel_cases() {
  CaseList cases;
  add_activation_cases(cases);
  add_batch_norm_cases(cases);
  add_cast_cases(cases);
  add_column_cases(cases);
  add_cross_entropy_cases(cases);
  add_dropout_cases(cases);
  add_elementwise_cases(cases);
  add_inspection_cases(cases);
  add_layer_norm_cases(cases);
  add_optim_cases(cases);
  add_orthonormal_cases(cases);
  add_pooling_cases(cases);
  add_softmax_cases(cases);
  add_spectrum_cases(cases);
  add_token_cases(cases);
  return cases;
}

}  // namespace ab
