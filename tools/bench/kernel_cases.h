// What the files of the case table share: one function per kernel file that appends its rows, and
// short ways to write buffers and shapes. kernel_cases.cpp lists the functions.
#pragma once
#include "tools/bench/kernel_case.h"

namespace ab {

using CaseList = std::vector<KernelCase>;
using CasePointers = std::span<const DevicePtr>;

void add_activation_cases(CaseList& cases);
void add_batch_norm_cases(CaseList& cases);
void add_cast_cases(CaseList& cases);
void add_column_cases(CaseList& cases);
void add_cross_entropy_cases(CaseList& cases);
void add_dropout_cases(CaseList& cases);
void add_elementwise_cases(CaseList& cases);
void add_inspection_cases(CaseList& cases);
void add_layer_norm_cases(CaseList& cases);
void add_optim_cases(CaseList& cases);
void add_orthonormal_cases(CaseList& cases);
void add_pooling_cases(CaseList& cases);
void add_softmax_cases(CaseList& cases);
void add_spectrum_cases(CaseList& cases);
void add_token_cases(CaseList& cases);

// Rows and columns: one element, odd, prime, one past a tile of 64, one past a flat chunk of 4096.
struct CaseShape {
  int64_t rows, cols;
  bool benchmark = false;
  int64_t elements() const { return rows * cols; }
  std::string text() const {
    return std::string("(").append(std::to_string(rows) + ", " + std::to_string(cols) + ")");
  }
};
inline constexpr CaseShape kCaseShapes[] = {{1, 1},    {3, 7},   {31, 17},         {65, 65},
                                            {2, 4097}, {129, 1}, {1576, 768, true}};
inline constexpr DType kActivationTypes[] = {DType::kFloat32, DType::kBFloat16};

// Buffers of a row. An output that is also read has a fill; a scratch buffer is never compared.
inline CaseBuffer input(const std::string& name, int64_t elements, DType dtype,
                        Fill fill = Fill::kNormal) {
  return {name, elements, dtype, fill, 0, false, 1};
}
inline CaseBuffer indices(const std::string& name, int64_t elements, int64_t high) {
  return {name, elements, DType::kInt32, Fill::kIndices, high, false, 1};
}
inline CaseBuffer output(const std::string& name, int64_t elements, DType dtype,
                         int64_t reduction = 1, Fill fill = Fill::kZero) {
  return {name, elements, dtype, fill, 0, true, reduction};
}
inline CaseBuffer scratch(size_t bytes) {
  return {"scratch",
          static_cast<int64_t>(bytes / sizeof(float)),
          DType::kFloat32,
          Fill::kZero,
          0,
          false,
          1};
}

}  // namespace ab
