// What stands behind cuBLASLt's handles. A layout is column-major unless told otherwise; the key of
// an algorithm is what the heuristic was asked for, and the only thing it may be used for.
#pragma once
#include <cublasLt.h>

#include "tests/standin/handles.h"

namespace ab::standin {

struct BlasHandle {
  int device = 0;
};

struct BlasLayout {
  cudaDataType type = CUDA_R_32F;
  int64_t rows = 0, columns = 0, ld = 0;
  int32_t batch = 1;
  int64_t batch_stride = 0;

  size_t element() const { return type == CUDA_R_16BF ? 2 : 4; }
  // Elements from the first to the last, over all matrices of the batch.
  int64_t extent() const { return (batch - 1) * batch_stride + (columns - 1) * ld + rows; }
};

struct BlasDescription {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cudaDataType scale = CUDA_R_32F;
  cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  cublasLtPointerMode_t pointers = CUBLASLT_POINTER_MODE_HOST;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  int32_t bias_type = -1;  // as D

  bool has_bias() const { return epilogue == CUBLASLT_EPILOGUE_BIAS; }
};

struct BlasPreference {
  uint64_t workspace = 0;
  uint32_t alignment[4] = {256, 256, 256, 256};  // A, B, C, D: the documented defaults
};

Handles<BlasHandle>& blas_handles();
Handles<BlasLayout>& blas_layouts();
Handles<BlasDescription>& blas_descriptions();
Handles<BlasPreference>& blas_preferences();

struct BlasProblem {
  BlasDescription description;
  BlasLayout a, b, c, d;
  int64_t m = 0, n = 0, k = 0;

  uint64_t key() const;
};

// Checks a product as it was described; a fault and false where the documentation forbids it.
bool make_problem(const char* function, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a,
                  cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                  BlasProblem& problem);

// What an algorithm carries in its 64 opaque bytes.
struct BlasAlgorithm {
  uint64_t magic, key, workspace;
  uint32_t alignment[4];
  uint64_t unused[3];
};
static_assert(sizeof(BlasAlgorithm) == sizeof(cublasLtMatmulAlgo_t));
constexpr uint64_t kAlgorithmMagic = 0x6162746c74616c67;

}  // namespace ab::standin
