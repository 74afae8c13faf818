// Planted faults in calls of cuBLASLt: leading dimensions, workspaces, alignment, layouts used too
// late, algorithms used for what they were not chosen for, and what an epilogue asks of its bias.
#include <cublasLt.h>

#include <utility>
#include <vector>

#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"

namespace ab::standin {
namespace {

// D (m, n) = A (m, k) B (k, n), column-major, all ones.
struct Product {
  static constexpr int64_t m = 3, n = 2, k = 200;

  Product() {
    cublasLtCreate(&handle);
    cublasLtMatmulDescCreate(&how, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatrixLayoutCreate(&a, CUDA_R_32F, m, k, m);
    cublasLtMatrixLayoutCreate(&b, CUDA_R_32F, k, n, k);
    cublasLtMatrixLayoutCreate(&d, CUDA_R_32F, m, n, m);
    const std::vector<float> ones(k * 4, 1.0f);
    for (void** memory : {&a_data, &b_data, &d_data, &workspace}) {
      cudaMalloc(memory, ones.size() * sizeof(float));
      cudaMemcpy(*memory, ones.data(), ones.size() * sizeof(float), cudaMemcpyHostToDevice);
    }
    cublasLtMatmulPreferenceCreate(&preference);
    const uint64_t most = 4096;
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &most, sizeof most);
  }
  ~Product() {
    for (void* memory : {a_data, b_data, d_data, workspace}) cudaFree(memory);
  }
  cublasStatus_t ask() {
    int found = 0;
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, how, a, b, d, d, preference, 1, &result, &found);
    algorithm = result.algo;
    needed = result.workspaceSize;
    return status;
  }
  cublasStatus_t run(size_t workspace_bytes) {
    const float one = 1.0f, zero = 0.0f;
    return cublasLtMatmul(handle, how, &one, a_data, a, b_data, b, &zero, d_data, d, d_data, d,
                          &algorithm, workspace, workspace_bytes, nullptr);
  }

  cublasLtHandle_t handle;
  cublasLtMatmulDesc_t how;
  cublasLtMatrixLayout_t a, b, d;
  cublasLtMatmulPreference_t preference;
  cublasLtMatmulAlgo_t algorithm{};
  size_t needed = 0;
  void *a_data, *b_data, *d_data, *workspace;
};

TEST_CASE("cublasLt: a product as it should be") {
  Product p;
  REQUIRE(p.ask() == CUBLAS_STATUS_SUCCESS);
  CHECK(p.needed == 2 * sizeof(float) * Product::m * Product::n);
  REQUIRE(p.run(p.needed) == CUBLAS_STATUS_SUCCESS);
  float d[6];
  cudaMemcpy(d, p.d_data, sizeof d, cudaMemcpyDeviceToHost);
  for (const float x : d) CHECK(x == 200.0f);
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("cublasLt: a leading dimension below the rows") {
  Product p;
  cublasLtMatrixLayoutDestroy(p.b);
  cublasLtMatrixLayoutCreate(&p.b, CUDA_R_32F, Product::k, Product::n, Product::k - 1);
  CHECK(p.ask() == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(p.run(0) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"leading dimension 199 of B", "leading dimension 199 of B"}));
}

TEST_CASE("cublasLt: a leading dimension that leads out of the allocation") {
  Product p;
  cublasLtMatrixLayoutDestroy(p.b);
  cublasLtMatrixLayoutCreate(&p.b, CUDA_R_32F, Product::k, Product::n, 4 * Product::k);
  REQUIRE(p.ask() == CUBLAS_STATUS_SUCCESS);
  CHECK(p.run(p.needed) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK_THAT(take_faults(), faults({"passes the end of its allocation"}));
}

TEST_CASE("cublasLt: a layout used after its destruction") {
  Product p;
  REQUIRE(p.ask() == CUBLAS_STATUS_SUCCESS);
  cublasLtMatrixLayoutDestroy(p.a);
  CHECK(p.run(p.needed) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"a matrix layout used after its destruction"}));
}

TEST_CASE("cublasLt: too small a workspace, an algorithm for another shape, a crooked pointer") {
  Product p;
  REQUIRE(p.ask() == CUBLAS_STATUS_SUCCESS);
  CHECK(p.run(p.needed - 4) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"workspace of 44 bytes, the algorithm needs 48"}));
  const cublasOperation_t transposed = CUBLAS_OP_T;
  cublasLtMatrixLayoutCreate(&p.b, CUDA_R_32F, Product::n, Product::k, Product::n);
  cublasLtMatmulDescSetAttribute(p.how, CUBLASLT_MATMUL_DESC_TRANSB, &transposed,
                                 sizeof transposed);
  CHECK(p.run(p.needed) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"chosen for another problem"}));
  REQUIRE(p.ask() == CUBLAS_STATUS_SUCCESS);
  p.a_data = static_cast<char*>(p.a_data) + 4;
  CHECK(p.run(p.needed) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"A is not aligned to the 256 bytes"}));
  p.a_data = static_cast<char*>(p.a_data) - 4;
}

TEST_CASE("cublasLt: a host pointer where a matrix belongs") {
  Product p;
  REQUIRE(p.ask() == CUBLAS_STATUS_SUCCESS);
  alignas(256) static float host[800] = {};
  void* const device = std::exchange(p.a_data, host);
  CHECK(p.run(p.needed) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"a host pointer"}));
  p.a_data = device;
}

// A product whose epilogue adds the bias at the start of `workspace`.
struct Biased : Product {
  Biased() {
    describe(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    describe(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<int32_t>(CUDA_R_32F));
    const uint64_t none = 0;  // the bias lies where a workspace would
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &none, sizeof none);
  }
  template <class T>
  cublasStatus_t describe(cublasLtMatmulDescAttributes_t name, T value) {
    return cublasLtMatmulDescSetAttribute(how, name, &value, sizeof value);
  }
  cublasStatus_t run_with(const void* bias) {
    describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    return run(0);
  }
};

TEST_CASE("cublasLt: a bias is added to every column") {
  Biased p;
  const float bias[] = {1, 2, 3};
  cudaMemcpy(p.workspace, bias, sizeof bias, cudaMemcpyHostToDevice);
  REQUIRE(p.ask() == CUBLAS_STATUS_SUCCESS);
  REQUIRE(p.run_with(p.workspace) == CUBLAS_STATUS_SUCCESS);
  float d[6];
  cudaMemcpy(d, p.d_data, sizeof d, cudaMemcpyDeviceToHost);
  for (int i = 0; i < 6; ++i) CHECK(d[i] == 200.0f + bias[i % 3]);
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("cublasLt: a bias that is missing, on the host, crooked, freed or of another type") {
  Biased p;
  REQUIRE(p.ask() == CUBLAS_STATUS_SUCCESS);
  alignas(256) const float host[4] = {};
  CHECK(p.run_with(nullptr) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(p.run_with(host) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(p.run_with(static_cast<char*>(p.workspace) + 4) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"no bias pointer", "a host pointer as bias",
                                    "the bias is not aligned to 16 bytes"}));
  void* gone = nullptr;
  cudaMalloc(&gone, 256);
  cudaFree(gone);
  CHECK(p.run_with(gone) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK_THAT(take_faults(), faults({"a freed pointer"}));
  p.describe(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<int32_t>(CUDA_R_16BF));
  CHECK(p.run_with(p.workspace) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"the bias has another type than D"}));
}

TEST_CASE("cublasLt: an algorithm without the epilogue, an epilogue without a stand-in") {
  Biased p;
  p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
  REQUIRE(p.ask() == CUBLAS_STATUS_SUCCESS);
  p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  CHECK(p.run_with(p.workspace) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"chosen for another problem"}));
  p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_GELU_BIAS);
  CHECK(p.ask() == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, int64_t{4}) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_THAT(take_faults(), faults({"has no stand-in", "an attribute of 4 bytes was given 8"}));
}

}  // namespace
}  // namespace ab::standin
