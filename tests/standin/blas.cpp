// cuBLASLt: the heuristic and the product. The heuristic's algorithm asks for a workspace when the
// sum is long (as split sums do), and holds only for the problem and the alignments it was asked
// for; the product is column-major as the library's.
#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/standin/blas_objects.h"
#include "tests/standin/memory.h"
#include "tests/standin/product.h"

namespace ab::standin {
namespace {

constexpr size_t kWorkspaceAlignment = 256;
constexpr size_t kBiasAlignment =
    16;  // epilogues read it in vectors; undocumented, met in the field

cublasStatus_t refuse(const std::string& what) {
  report("cublasLtMatmul: " + what);
  return CUBLAS_STATUS_INVALID_VALUE;
}

bool aligned(const void* address, size_t to) {
  return reinterpret_cast<uintptr_t>(address) % to == 0;
}

struct Operands {
  const void *a, *b, *c;
  void* d;
  void* workspace;
  size_t workspace_bytes;
};

cublasStatus_t check_algorithm(const BlasProblem& p, const Operands& x, const void* opaque) {
  if (!opaque) return CUBLAS_STATUS_SUCCESS;
  BlasAlgorithm algorithm;
  std::memcpy(&algorithm, opaque, sizeof algorithm);
  if (algorithm.magic != kAlgorithmMagic) return refuse("the algorithm came from no heuristic");
  if (algorithm.key != p.key())
    return refuse("the algorithm was chosen for another problem (shape, type or layout)");
  if (algorithm.workspace > x.workspace_bytes)
    return refuse("workspace of " + std::to_string(x.workspace_bytes) +
                  " bytes, the algorithm needs " + std::to_string(algorithm.workspace));
  const void* const operands[] = {x.a, x.b, x.c, x.d};
  for (int i = 0; i < 4; ++i)
    if (!aligned(operands[i], algorithm.alignment[i]))
      return refuse(std::string(1, "ABCD"[i]) + " is not aligned to the " +
                    std::to_string(algorithm.alignment[i]) + " bytes the heuristic was promised");
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_operands(const BlasProblem& p, const Operands& x) {
  for (const auto& [address, layout] :
       {std::pair{x.a, &p.a}, {x.b, &p.b}, {x.c, &p.c}, {static_cast<const void*>(x.d), &p.d}})
    if (!aligned(address, layout->element())) return refuse("an operand inside an element");
  if (x.workspace_bytes > 0 && !aligned(x.workspace, kWorkspaceAlignment))
    return refuse("the workspace is not aligned to 256 bytes");
  if (x.c == x.d && (p.c.ld != p.d.ld || p.c.batch_stride != p.d.batch_stride))
    return refuse("C and D share memory with different layouts");
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_bias(const BlasProblem& p) {
  if (!p.description.has_bias()) return CUBLAS_STATUS_SUCCESS;
  const void* const bias = p.description.bias;
  if (!bias) return refuse("an epilogue with a bias, and no bias pointer");
  if (!in_device_range(bias)) return refuse("a host pointer as bias");
  if (!aligned(bias, kBiasAlignment)) return refuse("the bias is not aligned to 16 bytes");
  return CUBLAS_STATUS_SUCCESS;
}

// One value for each row of D.
std::vector<float> bias_of(const BlasProblem& p) {
  std::vector<float> values(p.description.has_bias() ? static_cast<size_t>(p.m) : 0);
  if (values.empty()) return values;
  const Strided x{real_address(p.description.bias), p.d.type == CUDA_R_16BF, 1, p.m};
  for (int64_t i = 0; i < p.m; ++i) values[static_cast<size_t>(i)] = x.get(i, 0);
  return values;
}

// Column-major (rows, columns): element (i, j) at i + j ld; a transposed operand swaps the two.
Strided view(const void* data, const BlasLayout& layout, bool transposed, int64_t matrix) {
  char* const first = static_cast<char*>(real_address(data)) +
                      matrix * layout.batch_stride * static_cast<int64_t>(layout.element());
  Strided x{first, layout.type == CUDA_R_16BF, 1, layout.ld};
  if (transposed) std::swap(x.row_stride, x.column_stride);
  return x;
}

}  // namespace
}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (const int code = injected(__func__)) return static_cast<cublasStatus_t>(code);
  BlasHandle* const made = blas_handles().create();
  made->device = current_device();
  *handle = reinterpret_cast<cublasLtHandle_t>(made);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  return blas_handles().destroy(handle, __func__) ? CUBLAS_STATUS_SUCCESS
                                                  : CUBLAS_STATUS_NOT_INITIALIZED;
}

size_t cublasLtGetVersion() {
  return CUBLAS_VERSION;
}

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "unknown cuBLAS status";
  }
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
  thread_local std::string text;
  text = cublasLtGetStatusName(status);
  if (status != CUBLAS_STATUS_SUCCESS && !last_fault().empty()) text += " (" + last_fault() + ")";
  return text.c_str();
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  *found = 0;
  if (const int code = injected(__func__)) return static_cast<cublasStatus_t>(code);
  if (!blas_handles().find(handle, __func__)) return CUBLAS_STATUS_NOT_INITIALIZED;
  const BlasPreference* const limits = blas_preferences().find(preference, __func__);
  BlasProblem problem;
  if (!limits || wanted < 1 || !make_problem(__func__, description, a, b, c, d, problem))
    return CUBLAS_STATUS_INVALID_VALUE;
  BlasAlgorithm algorithm{kAlgorithmMagic, problem.key(), 0, {}, {}};
  std::copy(limits->alignment, limits->alignment + 4, algorithm.alignment);
  const uint64_t split = 2 * sizeof(float) * problem.m * problem.n * problem.d.batch;
  if (problem.k >= 128 && split <= limits->workspace) algorithm.workspace = split;
  results[0] = {};
  std::memcpy(&results[0].algo, &algorithm, sizeof algorithm);
  results[0].workspaceSize = algorithm.workspace;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  results[0].wavesCount = 1.0f;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (const int code = injected(__func__)) return static_cast<cublasStatus_t>(code);
  const BlasHandle* const owner = blas_handles().find(handle, __func__);
  if (!owner) return CUBLAS_STATUS_NOT_INITIALIZED;
  BlasProblem p;
  if (!make_problem(__func__, description, a_layout, b_layout, c_layout, d_layout, p))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (owner->device != device_of(stream)) return refuse("handle and stream of different devices");
  if (p.description.pointers != CUBLASLT_POINTER_MODE_HOST || in_device_range(alpha) ||
      in_device_range(beta))
    return refuse("alpha and beta must be host pointers, as the pointer mode says");
  const Operands x{a, b, c, d, workspace, workspace_bytes};
  if (const cublasStatus_t status = check_operands(p, x); status != CUBLAS_STATUS_SUCCESS)
    return status;
  if (const cublasStatus_t status = check_algorithm(p, x, algo); status != CUBLAS_STATUS_SUCCESS)
    return status;
  if (const cublasStatus_t status = check_bias(p); status != CUBLAS_STATUS_SUCCESS) return status;
  const float scale = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  const auto bytes = [](const BlasLayout& l) {
    return static_cast<size_t>(l.extent()) * l.element();
  };
  for (const void* operand : {a, b, static_cast<const void*>(d)})
    if (!in_device_range(operand)) return refuse("a host pointer where device memory belongs");
  if (workspace_bytes > 0 && !in_device_range(workspace))
    return refuse("a host pointer as workspace");
  // alpha, beta and what the layouts say are read now; matrices and bias whenever it runs.
  const std::vector<Access> accesses = {
      {a, bytes(p.a), false},
      {b, bytes(p.b), false},
      {c, keep != 0.0f ? bytes(p.c) : 0, false},
      {workspace, workspace_bytes, true},
      {p.description.bias, p.description.has_bias() ? p.m * p.d.element() : size_t{0}, false},
      {d, bytes(p.d), true}};
  const Operation run = [=](cudaStream_t on) {
    if (const cudaError_t error = enqueue(on, "cublasLtMatmul", accesses); error != cudaSuccess)
      return error;
    const bool ta = p.description.transpose_a != CUBLAS_OP_N;
    const bool tb = p.description.transpose_b != CUBLAS_OP_N;
    const std::vector<float> bias = bias_of(p);
    for (int32_t i = 0; i < p.d.batch; ++i) {
      Strided left = view(a, p.a, ta, i), right = view(b, p.b, tb, i);
      left.as_tf32 = right.as_tf32 = p.description.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
      product(p.m, p.n, p.k, scale, left, right, keep, view(c, p.c, false, i),
              view(d, p.d, false, i), bias);
    }
    return cudaSuccess;
  };
  return submit(stream, "cublasLtMatmul", run) == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                                              : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // extern "C"
