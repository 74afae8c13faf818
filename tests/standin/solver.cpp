// cuSOLVER, the dense 64-bit interface and gesvdj: column-major matrices, the arithmetic is
// LAPACK's. Workspaces must be what the *_bufferSize call of the same problem answered; info goes
// to device memory. gesvd and gesvdj destroy A, and take only m >= n.
#include <cusolverDn.h>
#include <lapacke.h>

#include <algorithm>
#include <cstring>

#include "tests/standin/handles.h"
#include "tests/standin/memory.h"

namespace ab::standin {
namespace {

struct Solver {
  int device = 0;
  cudaStream_t stream = nullptr;
};
struct Parameters {};
struct Jacobi {
  double tolerance = 1e-7;
  int sweeps = 100;
};

Handles<Solver>& solvers() {
  static auto* const all = new Handles<Solver>("a cuSOLVER handle");
  return *all;
}
Handles<Parameters>& parameters() {
  static auto* const all = new Handles<Parameters>("a cuSOLVER parameter set");
  return *all;
}
Handles<Jacobi>& jacobis() {
  static auto* const all = new Handles<Jacobi>("a gesvdj info");
  return *all;
}

cusolverStatus_t refuse(const char* function, const std::string& what) {
  report(std::string(function) + ": " + what);
  return CUSOLVER_STATUS_INVALID_VALUE;
}

// One matrix or vector of a call.
struct Operand {
  const char* name;
  const void* data;
  int64_t rows, columns, ld;
  bool write;

  size_t bytes() const { return static_cast<size_t>((columns - 1) * ld + rows) * sizeof(float); }
};

struct Workspace {
  void* data;
  size_t given, needed;
};

// Puts the call on the handle's stream.
cusolverStatus_t begin(const char* function, const Solver& solver,
                       const std::vector<Operand>& operands, const Workspace& work, int* info) {
  std::vector<Access> accesses;
  for (const Operand& x : operands) {
    if (x.ld < x.rows)
      return refuse(function, std::string("leading dimension ") + std::to_string(x.ld) + " of " +
                                  x.name + " is below its " + std::to_string(x.rows) + " rows");
    if (!in_device_range(x.data))
      return refuse(function, std::string(x.name) + " is a host pointer");
    accesses.push_back({x.data, x.bytes(), x.write});
  }
  if (work.given < work.needed)
    return refuse(function, "workspace of " + std::to_string(work.given) + " bytes, " +
                                std::to_string(work.needed) + " needed");
  if (!in_device_range(work.data) || !in_device_range(info))
    return refuse(function, "workspace and info belong in device memory");
  if (device_of(solver.stream) != solver.device)
    return refuse(function, "the stream belongs to another device than the handle");
  accesses.push_back({work.data, work.needed, true});
  accesses.push_back({info, sizeof(int), true});
  return enqueue(solver.stream, function, accesses) == cudaSuccess
             ? CUSOLVER_STATUS_SUCCESS
             : CUSOLVER_STATUS_EXECUTION_FAILED;
}

size_t eigen_bytes(int64_t n) {
  return static_cast<size_t>(2 * n * n + 8 * n + 64) * sizeof(float);
}
size_t svd_bytes(int64_t m, int64_t n) {
  return static_cast<size_t>(m + n * n + 8 * n + 64) * sizeof(float);
}
constexpr size_t kHostBytes = 256;  // what the 64-bit calls ask for on the host

bool all_fp32(std::initializer_list<cudaDataType> types) {
  return std::all_of(types.begin(), types.end(),
                     [](cudaDataType type) { return type == CUDA_R_32F; });
}

// Scratch that grows without initial values: LAPACK writes before it reads.
float* square(std::vector<float>& memory, int64_t n) {
  memory.assign(static_cast<size_t>(n * n), 0.0f);
  return memory.data();
}

}  // namespace
}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
  if (const int code = injected(__func__)) return static_cast<cusolverStatus_t>(code);
  Solver* const made = solvers().create();
  made->device = current_device();
  *handle = reinterpret_cast<cusolverDnHandle_t>(made);
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle) {
  return solvers().destroy(handle, __func__) ? CUSOLVER_STATUS_SUCCESS
                                             : CUSOLVER_STATUS_NOT_INITIALIZED;
}

cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream) {
  Solver* const solver = solvers().find(handle, __func__);
  if (!solver) return CUSOLVER_STATUS_NOT_INITIALIZED;
  solver->stream = stream;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnCreateParams(cusolverDnParams_t* made) {
  *made = reinterpret_cast<cusolverDnParams_t>(parameters().create());
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroyParams(cusolverDnParams_t old) {
  return parameters().destroy(old, __func__) ? CUSOLVER_STATUS_SUCCESS
                                             : CUSOLVER_STATUS_INVALID_VALUE;
}

cusolverStatus_t cusolverDnCreateGesvdjInfo(gesvdjInfo_t* info) {
  *info = reinterpret_cast<gesvdjInfo_t>(jacobis().create());
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroyGesvdjInfo(gesvdjInfo_t info) {
  return jacobis().destroy(info, __func__) ? CUSOLVER_STATUS_SUCCESS
                                           : CUSOLVER_STATUS_INVALID_VALUE;
}

cusolverStatus_t cusolverDnXgesvdjSetTolerance(gesvdjInfo_t info, double tolerance) {
  Jacobi* const jacobi = jacobis().find(info, __func__);
  if (!jacobi || !(tolerance > 0.0)) return CUSOLVER_STATUS_INVALID_VALUE;
  jacobi->tolerance = tolerance;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXgesvdjSetMaxSweeps(gesvdjInfo_t info, int sweeps) {
  Jacobi* const jacobi = jacobis().find(info, __func__);
  if (!jacobi || sweeps < 1) return CUSOLVER_STATUS_INVALID_VALUE;
  jacobi->sweeps = sweeps;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXsyevd_bufferSize(cusolverDnHandle_t handle, cusolverDnParams_t with,
                                             cusolverEigMode_t, cublasFillMode_t, int64_t n,
                                             cudaDataType a_type, const void*, int64_t,
                                             cudaDataType w_type, const void*, cudaDataType type,
                                             size_t* device_bytes, size_t* host_bytes) {
  if (!solvers().find(handle, __func__)) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!parameters().find(with, __func__) || n < 1 || !all_fp32({a_type, w_type, type}))
    return refuse(__func__, "n or a type");
  *device_bytes = eigen_bytes(n);
  *host_bytes = kHostBytes;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXsyevd(cusolverDnHandle_t handle, cusolverDnParams_t with,
                                  cusolverEigMode_t mode, cublasFillMode_t fill, int64_t n,
                                  cudaDataType a_type, void* a, int64_t lda, cudaDataType w_type,
                                  void* w, cudaDataType type, void* device_work,
                                  size_t device_bytes, void* host_work, size_t host_bytes,
                                  int* info) {
  const int outcome = injected(__func__);
  const Solver* const solver = solvers().find(handle, __func__);
  if (!solver) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!parameters().find(with, __func__) || n < 1 || !all_fp32({a_type, w_type, type}))
    return refuse(__func__, "n or a type");
  if (host_bytes < kHostBytes || !host_work || in_device_range(host_work))
    return refuse(__func__, "host workspace too small or no host memory");
  const cusolverStatus_t status =
      begin(__func__, *solver, {{"A", a, n, n, lda, true}, {"W", w, n, 1, n, true}},
            {device_work, device_bytes, eigen_bytes(n)}, info);
  if (status != CUSOLVER_STATUS_SUCCESS) return status;
  const char job = mode == CUSOLVER_EIG_MODE_VECTOR ? 'V' : 'N';
  const char part = fill == CUBLAS_FILL_MODE_LOWER ? 'L' : 'U';
  *real(info) = outcome != 0 ? outcome
                             : LAPACKE_ssyevd(LAPACK_COL_MAJOR, job, part, n,
                                              static_cast<float*>(real_address(a)), lda,
                                              static_cast<float*>(real_address(w)));
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXgesvd_bufferSize(cusolverDnHandle_t handle, cusolverDnParams_t with,
                                             signed char, signed char, int64_t m, int64_t n,
                                             cudaDataType a_type, const void*, int64_t,
                                             cudaDataType s_type, const void*, cudaDataType u_type,
                                             const void*, int64_t, cudaDataType v_type, const void*,
                                             int64_t, cudaDataType type, size_t* device_bytes,
                                             size_t* host_bytes) {
  if (!solvers().find(handle, __func__)) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!parameters().find(with, __func__) || m < n || n < 1 ||
      !all_fp32({a_type, s_type, u_type, v_type, type}))
    return refuse(__func__, "a type, or m < n");
  *device_bytes = svd_bytes(m, n);
  *host_bytes = kHostBytes;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXgesvd(cusolverDnHandle_t handle, cusolverDnParams_t with,
                                  signed char job_u, signed char job_vt, int64_t m, int64_t n,
                                  cudaDataType a_type, void* a, int64_t lda, cudaDataType s_type,
                                  void* s, cudaDataType u_type, void* u, int64_t ldu,
                                  cudaDataType v_type, void* vt, int64_t ldvt, cudaDataType type,
                                  void* device_work, size_t device_bytes, void* host_work,
                                  size_t host_bytes, int* info) {
  const int outcome = injected(__func__);
  const Solver* const solver = solvers().find(handle, __func__);
  if (!solver) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!parameters().find(with, __func__) || m < n || n < 1 ||
      !all_fp32({a_type, s_type, u_type, v_type, type}) || job_u != 'S' || job_vt != 'S')
    return refuse(__func__, "a type, a job other than 'S', or m < n");
  if (host_bytes < kHostBytes || !host_work || in_device_range(host_work))
    return refuse(__func__, "host workspace too small or no host memory");
  const cusolverStatus_t status = begin(__func__, *solver,
                                        {{"A", a, m, n, lda, true},
                                         {"S", s, n, 1, n, true},
                                         {"U", u, m, n, ldu, true},
                                         {"VT", vt, n, n, ldvt, true}},
                                        {device_work, device_bytes, svd_bytes(m, n)}, info);
  if (status != CUSOLVER_STATUS_SUCCESS) return status;
  std::vector<float> unconverged(static_cast<size_t>(n));
  *real(info) =
      outcome != 0
          ? outcome
          : LAPACKE_sgesvd(LAPACK_COL_MAJOR, 'S', 'S', m, n, static_cast<float*>(real_address(a)),
                           lda, static_cast<float*>(real_address(s)),
                           static_cast<float*>(real_address(u)), ldu,
                           static_cast<float*>(real_address(vt)), ldvt, unconverged.data());
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnSgesvdj_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t,
                                              int economy, int m, int n, const float*, int,
                                              const float*, const float*, int, const float*, int,
                                              int* words, gesvdjInfo_t with) {
  if (!solvers().find(handle, __func__)) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!jacobis().find(with, __func__) || economy != 1 || m < n || n < 1)
    return refuse(__func__, "only the economy size with m >= n has a stand-in");
  *words = static_cast<int>(svd_bytes(m, n) / sizeof(float));
  return CUSOLVER_STATUS_SUCCESS;
}

// V comes back as V and not as its transpose.
cusolverStatus_t cusolverDnSgesvdj(cusolverDnHandle_t handle, cusolverEigMode_t mode, int economy,
                                   int m, int n, float* a, int lda, float* s, float* u, int ldu,
                                   float* v, int ldv, float* work, int words, int* info,
                                   gesvdjInfo_t with) {
  const int outcome = injected(__func__);
  const Solver* const solver = solvers().find(handle, __func__);
  if (!solver) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!jacobis().find(with, __func__) || economy != 1 || m < n || n < 1 ||
      mode != CUSOLVER_EIG_MODE_VECTOR)
    return refuse(__func__, "only the economy size with vectors and m >= n has a stand-in");
  const cusolverStatus_t status =
      begin(__func__, *solver,
            {{"A", a, m, n, lda, true},
             {"S", s, n, 1, n, true},
             {"U", u, m, n, ldu, true},
             {"V", v, n, n, ldv, true}},
            {work, static_cast<size_t>(words) * sizeof(float), svd_bytes(m, n)}, info);
  if (status != CUSOLVER_STATUS_SUCCESS) return status;
  std::vector<float> transposed, unconverged(static_cast<size_t>(n));
  *real(info) = outcome != 0
                    ? outcome
                    : LAPACKE_sgesvd(LAPACK_COL_MAJOR, 'S', 'S', m, n, real(a), lda, real(s),
                                     real(u), ldu, square(transposed, n), n, unconverged.data());
  if (outcome == 0)
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j)
        real(v)[i + static_cast<int64_t>(j) * ldv] = transposed[j + static_cast<int64_t>(i) * n];
  return CUSOLVER_STATUS_SUCCESS;
}

}  // extern "C"
