// cuBLASLt's descriptors: creation, attributes with the sizes that the documentation gives them,
// and the rules that a product has to keep before it can be asked for.
#include "tests/standin/blas_objects.h"

#include <cstring>

#include "tests/standin/streams.h"

namespace ab::standin {

Handles<BlasHandle>& blas_handles() {
  static auto* const all = new Handles<BlasHandle>("a cuBLASLt handle");
  return *all;
}
Handles<BlasLayout>& blas_layouts() {
  static auto* const all = new Handles<BlasLayout>("a matrix layout");
  return *all;
}
Handles<BlasDescription>& blas_descriptions() {
  static auto* const all = new Handles<BlasDescription>("a matmul descriptor");
  return *all;
}
Handles<BlasPreference>& blas_preferences() {
  static auto* const all = new Handles<BlasPreference>("a matmul preference");
  return *all;
}

uint64_t BlasProblem::key() const {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](int64_t word) {
    hash = (hash ^ static_cast<uint64_t>(word)) * 0x100000001b3;
    hash ^= hash >> 29;
  };
  for (const int64_t word :
       {m, n, k, static_cast<int64_t>(description.compute),
        static_cast<int64_t>(description.transpose_a),
        static_cast<int64_t>(description.transpose_b), static_cast<int64_t>(description.epilogue)})
    add(word);
  for (const BlasLayout* x : {&a, &b, &c, &d})
    for (const int64_t word :
         {static_cast<int64_t>(x->type), x->ld, static_cast<int64_t>(x->batch), x->batch_stride})
      add(word);
  return hash;
}

namespace {

bool wrong(const char* function, const std::string& what) {
  report(std::string(function) + ": " + what);
  return false;
}

std::string extents(const BlasLayout& x) {
  return "(" + std::to_string(x.rows) + ", " + std::to_string(x.columns) + ")";
}

// What holds of an epilogue before an address is looked at.
bool check_epilogue(const char* function, const BlasProblem& p) {
  const BlasDescription& how = p.description;
  if (how.epilogue != CUBLASLT_EPILOGUE_DEFAULT && !how.has_bias())
    return wrong(function, "epilogue " + std::to_string(how.epilogue) + " has no stand-in");
  if (!how.has_bias()) return true;
  if (how.bias_type >= 0 && how.bias_type != static_cast<int32_t>(p.d.type))
    return wrong(function, "the bias has another type than D");
  if (p.d.batch > 1) return wrong(function, "a bias for a batch has no stand-in");
  return true;
}

bool check_layout(const char* function, const char* name, const BlasLayout& x) {
  if (x.type != CUDA_R_32F && x.type != CUDA_R_16BF)
    return wrong(function, std::string(name) + " has a type other than fp32 and bf16");
  if (x.rows < 1 || x.columns < 1)
    return wrong(function, std::string(name) + " is empty: " + extents(x));
  if (x.ld < x.rows)
    return wrong(function, std::string("leading dimension ") + std::to_string(x.ld) + " of " +
                               name + " is below its " + std::to_string(x.rows) + " rows");
  if (x.batch < 1 || (x.batch > 1 && x.batch_stride < 1 && name[0] == 'D'))
    return wrong(function, std::string(name) + ": batch count or stride");
  return true;
}

}  // namespace

bool make_problem(const char* function, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a,
                  cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                  BlasProblem& p) {
  const BlasDescription* const how = blas_descriptions().find(description, function);
  const BlasLayout* layouts[4] = {};
  const cublasLtMatrixLayout_t handles[] = {a, b, c, d};
  constexpr const char* kNames[] = {"A", "B", "C", "D"};
  for (int i = 0; i < 4; ++i) {
    layouts[i] = blas_layouts().find(handles[i], function);
    if (!layouts[i] || !check_layout(function, kNames[i], *layouts[i])) return false;
  }
  if (!how) return false;
  p = {*how, *layouts[0], *layouts[1], *layouts[2], *layouts[3]};
  const bool ta = how->transpose_a != CUBLAS_OP_N, tb = how->transpose_b != CUBLAS_OP_N;
  p.m = ta ? p.a.columns : p.a.rows;
  p.k = ta ? p.a.rows : p.a.columns;
  p.n = tb ? p.b.rows : p.b.columns;
  if ((tb ? p.b.columns : p.b.rows) != p.k)
    return wrong(function, "inner extents differ: A " + extents(p.a) + ", B " + extents(p.b));
  if (p.d.rows != p.m || p.d.columns != p.n || p.c.rows != p.m || p.c.columns != p.n)
    return wrong(function, "C " + extents(p.c) + " and D " + extents(p.d) + " must be (" +
                               std::to_string(p.m) + ", " + std::to_string(p.n) + ")");
  if (p.a.type != p.b.type || p.c.type != p.d.type ||
      (p.a.type == CUDA_R_32F && p.d.type != CUDA_R_32F))
    return wrong(function, "the types of A, B, C, D are no supported combination");
  if (how->scale != CUDA_R_32F ||
      (how->compute != CUBLAS_COMPUTE_32F && how->compute != CUBLAS_COMPUTE_32F_FAST_TF32))
    return wrong(function, "compute type and scale type are no supported combination");
  if (how->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && p.a.type != CUDA_R_32F)
    return wrong(function, "TF32 is a way to multiply fp32 matrices");
  for (const BlasLayout* x : {&p.a, &p.b, &p.c})
    if (x->batch != p.d.batch) return wrong(function, "batch counts differ");
  return check_epilogue(function, p);
}

}  // namespace ab::standin

using namespace ab::standin;

namespace {

// Copies an attribute's value when its size is the documented one.
template <class T>
cublasStatus_t take(const char* function, T& to, const void* from, size_t bytes) {
  if (!from || bytes != sizeof(T)) {
    report(std::string(function) + ": an attribute of " + std::to_string(sizeof(T)) +
           " bytes was given " + std::to_string(bytes));
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::memcpy(&to, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t unknown(const char* function, int attribute) {
  report(std::string(function) + ": attribute " + std::to_string(attribute) + " has no stand-in");
  return CUBLAS_STATUS_INVALID_VALUE;
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description,
                                        cublasComputeType_t compute, cudaDataType_t scale) {
  if (const int code = injected(__func__)) return static_cast<cublasStatus_t>(code);
  BlasDescription* const made = blas_descriptions().create();
  made->compute = compute;
  made->scale = scale;
  *description = reinterpret_cast<cublasLtMatmulDesc_t>(made);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  return blas_descriptions().destroy(description, __func__) ? CUBLAS_STATUS_SUCCESS
                                                            : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  BlasDescription* const d = blas_descriptions().find(description, __func__);
  if (!d) return CUBLAS_STATUS_INVALID_VALUE;
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return take(__func__, d->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return take(__func__, d->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
      return take(__func__, d->pointers, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return take(__func__, d->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return take(__func__, d->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return take(__func__, d->bias_type, value, bytes);
    default:
      return unknown(__func__, attribute);
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t ld) {
  BlasLayout* const made = blas_layouts().create();
  made->type = type;
  made->rows = static_cast<int64_t>(rows);
  made->columns = static_cast<int64_t>(columns);
  made->ld = ld;
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(made);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return blas_layouts().destroy(layout, __func__) ? CUBLAS_STATUS_SUCCESS
                                                  : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
  BlasLayout* const l = blas_layouts().find(layout, __func__);
  if (!l) return CUBLAS_STATUS_INVALID_VALUE;
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return take(__func__, l->batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return take(__func__, l->batch_stride, value, bytes);
    default:
      return unknown(__func__, attribute);
  }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(blas_preferences().create());
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return blas_preferences().destroy(preference, __func__) ? CUBLAS_STATUS_SUCCESS
                                                          : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  BlasPreference* const p = blas_preferences().find(preference, __func__);
  if (!p) return CUBLAS_STATUS_INVALID_VALUE;
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
    return take(__func__, p->workspace, value, bytes);
  const int which = attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
  if (which >= 0 && which < 4) return take(__func__, p->alignment[which], value, bytes);
  return unknown(__func__, attribute);
}

}  // extern "C"
