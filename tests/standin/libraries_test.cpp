// Planted faults in calls of cuBLASLt, cuDNN and cuSOLVER: leading dimensions, workspaces,
// alignment, descriptors used too late, algorithms used for what they were not chosen for.
#include <cublasLt.h>
#include <cudnn.h>
#include <cusolverDn.h>

#include <cstring>
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

TEST_CASE("cudnn: descriptors are set, then finalized, then read, and not used once destroyed") {
  cudnnBackendDescriptor_t tensor;
  REQUIRE(cudnnBackendCreateDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &tensor) ==
          CUDNN_STATUS_SUCCESS);
  const int64_t dims[] = {1, 2, 3, 4}, strides[] = {24, 1, 8, 2}, id = 7, alignment = 16;
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  const auto set = [&](cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t as,
                       int64_t count, const void* values) {
    return cudnnBackendSetAttribute(tensor, name, as, count, values);
  };
  set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
  set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
  set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
  set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
  CHECK(cudnnBackendFinalize(tensor) != CUDNN_STATUS_SUCCESS);
  CHECK_THAT(take_faults(), faults({"is missing"}));
  CHECK(set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_INT64, 1, &id) != CUDNN_STATUS_SUCCESS);
  CHECK_THAT(take_faults(), faults({"a wrong type"}));
  set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  CHECK(cudnnBackendFinalize(tensor) == CUDNN_STATUS_SUCCESS);
  CHECK(set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id) != CUDNN_STATUS_SUCCESS);
  CHECK_THAT(take_faults(), faults({"after the descriptor was finalized"}));
  CHECK(cudnnBackendDestroyDescriptor(tensor) == CUDNN_STATUS_SUCCESS);
  CHECK(cudnnBackendFinalize(tensor) != CUDNN_STATUS_SUCCESS);
  CHECK_THAT(take_faults(), faults({"a backend descriptor used after its destruction"}));
}

TEST_CASE("cusolver: eigenvalues, and a leading dimension and a workspace that are too small") {
  // (2 1; 1 2) has the eigenvalues 1 and 3.
  cusolverDnHandle_t handle;
  cusolverDnParams_t with;
  cusolverDnCreate(&handle);
  cusolverDnCreateParams(&with);
  const float matrix[] = {2, 1, 1, 2};
  void *a, *w, *work, *info;
  for (void** memory : {&a, &w, &work, &info}) cudaMalloc(memory, 4096);
  cudaMemcpy(a, matrix, sizeof matrix, cudaMemcpyHostToDevice);
  size_t device_bytes = 0, host_bytes = 0;
  cusolverDnXsyevd_bufferSize(handle, with, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER, 2,
                              CUDA_R_32F, a, 2, CUDA_R_32F, w, CUDA_R_32F, &device_bytes,
                              &host_bytes);
  std::vector<char> host(host_bytes);
  const auto solve = [&](int64_t ld, size_t bytes) {
    return cusolverDnXsyevd(handle, with, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER, 2,
                            CUDA_R_32F, a, ld, CUDA_R_32F, w, CUDA_R_32F, work, bytes, host.data(),
                            host.size(), static_cast<int*>(info));
  };
  CHECK(solve(1, device_bytes) != CUSOLVER_STATUS_SUCCESS);
  CHECK(solve(2, device_bytes - 1) != CUSOLVER_STATUS_SUCCESS);
  CHECK_THAT(take_faults(), faults({"leading dimension 1 of A", "needed"}));
  REQUIRE(solve(2, device_bytes) == CUSOLVER_STATUS_SUCCESS);
  float values[2];
  cudaMemcpy(values, w, sizeof values, cudaMemcpyDeviceToHost);
  CHECK(values[0] == Approx(1.0f));
  CHECK(values[1] == Approx(3.0f));
  for (void* memory : {a, w, work, info}) cudaFree(memory);
  cusolverDnDestroy(handle);
  CHECK(solve(2, device_bytes) == CUSOLVER_STATUS_NOT_INITIALIZED);
  CHECK_THAT(take_faults(), faults({"used after its destruction"}));
}

}  // namespace
}  // namespace ab::standin
