// Planted faults in calls of cuDNN and cuSOLVER: leading dimensions, workspaces, descriptors used
// too early and too late.
#include <cudnn.h>
#include <cusolverDn.h>

#include <vector>

#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"

namespace ab::standin {
namespace {

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
