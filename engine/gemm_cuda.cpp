// C = alpha op(A) op(B) + beta C, row-major, on cuBLASLt.
//   A row-major matrix is a column-major one transposed, so cuBLASLt is asked for
//   C^T = op(B)^T op(A)^T: the operands change places, leading dimensions and transposition flags
//   stay. Accumulation is fp32; fp32 operands are rounded to TF32 only where device.tf32 says so.
//   Batches: outer and inner products become one strided batch where their strides allow, else one
//   per step of the smaller extent. Algorithms are chosen by cuBLASLt's heuristics once per shape,
//   with at most kWorkspaceLimit bytes of workspace; that choice depends on nothing else, so two
//   runs agree to the bit.
//   Epilogues: the bias is fused, which spares reading and writing C once more (2 s m n bytes with
//   s bytes per element; ViT-B/16 at batch 256 in bf16: 155 MB for each linear layer of 768
//   outputs). cuBLASLt takes it in C's type alone. Not fused:
//   - GELU: cuBLASLt computes its tanh approximation, the models want erf, and backward needs
//     z = xw + bias as well, so that C is written twice either way; one read (s m n) would be
//     saved.
//   - the bias gradient: behind a GELU or a ReLU it comes out of the sweep that writes dz anyway.
//     Elsewhere it would spare one read of dy (77 MB of the about 6 GB that a block of ViT-B/16
//     moves at batch 256), but only where dw = dy^T x is computed: not for a frozen or a thin
//     factor, and it cannot be added to a gradient that is there.
#include "engine/gemm_cuda.h"

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "engine/aligned_cuda.h"

namespace ab {
namespace {

constexpr size_t kWorkspaceLimit = size_t{32} << 20;
constexpr uint32_t kWidestAlignment = 16;  // what vector loads and the TMA unit ask for

void check_cublas(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    cuda::vendor_failed(
        call, std::string(cublasLtGetStatusName(status)) + ", " + cublasLtGetStatusString(status));
}
#define AB_CUBLAS(call) check_cublas(call, #call)

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::kBFloat16 ? CUDA_R_16BF : CUDA_R_32F;
}

DevicePtr advanced(const Matrix& x, DType dtype, int64_t elements) {
  return x.data.plus_bytes(static_cast<size_t>(elements) * size_of(dtype));
}

// Largest power of two up to kWidestAlignment that divides the address of every matrix of the
// batch.
uint32_t alignment_of(DevicePtr address, int64_t stride, DType dtype) {
  const uint64_t bits = reinterpret_cast<uint64_t>(address.as<void>()) |
                        (static_cast<uint64_t>(stride) * size_of(dtype)) | kWidestAlignment;
  return 1u << std::countr_zero(bits);
}

template <class T>
void set(cublasLtMatmulDesc_t descriptor, cublasLtMatmulDescAttributes_t name, const T& value) {
  AB_CUBLAS(cublasLtMatmulDescSetAttribute(descriptor, name, &value, sizeof value));
}
void set_bias(cublasLtMatmulDesc_t descriptor, DevicePtr bias) {
  set(descriptor, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.as<void>());
}
template <class T>
void set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name, const T& value) {
  AB_CUBLAS(cublasLtMatrixLayoutSetAttribute(layout, name, &value, sizeof value));
}
template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name,
         const T& value) {
  AB_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value));
}

}  // namespace

CudaGemm::CudaGemm(Device& device) : device_(device) {
  AB_CUBLAS(cublasLtCreate(library_.slot()));
}

void CudaGemm::multiply(Stream stream, Arena& arena, const GemmArguments& g) {
  check_product(g);
  device_.flops += 2.0 * g.m * g.n * g.k * g.outer * g.inner;
  const auto folds = [&](const Matrix& x) { return x.outer_stride == g.inner * x.inner_stride; };
  Batch batch{g, g.outer * g.inner, g.a.inner_stride, g.b.inner_stride, g.c.inner_stride};
  if (g.inner == 1) batch = {g, g.outer, g.a.outer_stride, g.b.outer_stride, g.c.outer_stride};
  if (g.inner == 1 || g.outer == 1 || (folds(g.a) && folds(g.b) && folds(g.c)))
    return run(stream, arena, batch);

  const bool over_inner = g.inner <= g.outer;  // one call per inner step, a batch of outer products
  const auto stride = [](const Matrix& x, bool outer) {
    return outer ? x.outer_stride : x.inner_stride;
  };
  batch = {g, over_inner ? g.outer : g.inner, stride(g.a, over_inner), stride(g.b, over_inner),
           stride(g.c, over_inner)};
  for (int64_t i = 0; i < std::min(g.inner, g.outer); ++i) {
    batch.g.a.data = advanced(g.a, g.dtype, i * stride(g.a, !over_inner));
    batch.g.b.data = advanced(g.b, g.dtype, i * stride(g.b, !over_inner));
    batch.g.c.data = advanced(g.c, g.result_dtype, i * stride(g.c, !over_inner));
    run(stream, arena, batch);
  }
}

void CudaGemm::run(Stream stream, Arena& arena, Batch batch) {
  // Parameters may begin anywhere; the epilogue reads its bias in vectors.
  const cuda::Aligned bias(arena, stream, batch.g.bias,
                           static_cast<size_t>(batch.g.n) * size_of(batch.g.result_dtype), true);
  batch.g.bias = bias.data();
  Plan& plan = this->plan(batch);
  if (batch.g.bias) set_bias(plan.descriptor.get(), batch.g.bias);
  const cuda::Workspace workspace(arena, plan.workspace);
  const GemmArguments& g = batch.g;
  void* c = g.c.data.as<void>();
  AB_CUBLAS(cublasLtMatmul(library_.get(), plan.descriptor.get(), &g.alpha, g.b.data.as<void>(),
                           plan.b.get(), g.a.data.as<void>(), plan.a.get(), &g.beta, c,
                           plan.c.get(), c, plan.c.get(), &plan.algorithm, workspace.address(),
                           plan.workspace, static_cast<cudaStream_t>(stream.handle)));
}

CudaGemm::Plan& CudaGemm::plan(const Batch& batch) {
  const GemmArguments& g = batch.g;
  const Key key = {g.m,
                   g.n,
                   g.k,
                   g.a.ld,
                   g.b.ld,
                   g.c.ld,
                   g.a.transposed,
                   g.b.transposed,
                   batch.count,
                   batch.a_stride,
                   batch.b_stride,
                   batch.c_stride,
                   static_cast<int64_t>(g.dtype),
                   static_cast<int64_t>(g.result_dtype),
                   device_.tf32,
                   static_cast<bool>(g.bias),
                   alignment_of(g.a.data, batch.a_stride, g.dtype),
                   alignment_of(g.b.data, batch.b_stride, g.dtype),
                   alignment_of(g.c.data, batch.c_stride, g.result_dtype)};
  if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
  return plans_.emplace(key, make_plan(batch)).first->second;
}

CudaGemm::Plan CudaGemm::make_plan(const Batch& batch) const {
  const GemmArguments& g = batch.g;
  const bool fast = device_.tf32 && g.dtype == DType::kFloat32;
  Plan plan;
  AB_CUBLAS(cublasLtMatmulDescCreate(plan.descriptor.slot(),
                                     fast ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                     CUDA_R_32F));
  // Our B is cuBLASLt's A and the other way round.
  const auto operation = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(plan.descriptor.get(), CUBLASLT_MATMUL_DESC_TRANSA, operation(g.b.transposed));
  set(plan.descriptor.get(), CUBLASLT_MATMUL_DESC_TRANSB, operation(g.a.transposed));
  if (g.bias) {  // along our columns, which are the rows of cuBLASLt's D
    set(plan.descriptor.get(), CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(plan.descriptor.get(), CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
        static_cast<int32_t>(type_of(g.result_dtype)));
    set_bias(plan.descriptor.get(), g.bias);
  }
  const auto describe = [&](Layout& layout, const Matrix& x, int64_t rows, int64_t columns,
                            DType dtype, int64_t stride) {
    if (x.transposed) std::swap(rows, columns);
    AB_CUBLAS(cublasLtMatrixLayoutCreate(layout.slot(), type_of(dtype),
                                         static_cast<uint64_t>(columns),
                                         static_cast<uint64_t>(rows), x.ld));
    if (batch.count == 1) return;
    set(layout.get(), CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(batch.count));
    set(layout.get(), CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
  };
  describe(plan.a, g.a, g.m, g.k, g.dtype, batch.a_stride);
  describe(plan.b, g.b, g.k, g.n, g.dtype, batch.b_stride);
  describe(plan.c, g.c, g.m, g.n, g.result_dtype, batch.c_stride);
  choose_algorithm(plan, batch);
  return plan;
}

void CudaGemm::choose_algorithm(Plan& plan, const Batch& batch) const {
  const GemmArguments& g = batch.g;
  cuda::Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
  AB_CUBLAS(cublasLtMatmulPreferenceCreate(preference.slot()));
  set(preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspaceLimit});
  const uint32_t c = alignment_of(g.c.data, batch.c_stride, g.result_dtype);
  set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
      alignment_of(g.b.data, batch.b_stride, g.dtype));
  set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
      alignment_of(g.a.data, batch.a_stride, g.dtype));
  set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c);
  set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      library_.get(), plan.descriptor.get(), plan.b.get(), plan.a.get(), plan.c.get(), plan.c.get(),
      preference.get(), 1, &best, &found);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED) check_cublas(status, "cublasLtMatmulAlgoGetHeuristic");
  if (found == 0 || best.state != CUBLAS_STATUS_SUCCESS)
    throw DeviceError("cuBLASLt has no algorithm for " + text_of(g));
  plan.algorithm = best.algo;
  plan.workspace = best.workspaceSize;
}

}  // namespace ab
