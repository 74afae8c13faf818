// Seam: matrix products. host: oneDNN.  cuda: cuBLASLt.
//   C = alpha op(A) op(B) + beta C,  or  C = op(A) op(B) + bias on every row;
// all row-major; op(X) = X or its transpose.
// op(A) is (m, k), op(B) is (k, n), C is (m, n); lda, ldb, ldc are row lengths of the stored
// matrices. Batches: count = outer * inner products; product (o, i) starts at o * outer_stride + i
// * inner_stride elements, so that heads inside a (batch, tokens, heads, size) tensor need no copy.
#pragma once
#include <string>

#include "engine/tensor.h"

namespace ab {

struct Matrix {
  DevicePtr data;
  int64_t ld = 0;
  bool transposed = false;
  int64_t outer_stride = 0, inner_stride = 0;
};

struct GemmArguments {
  int64_t m = 0, n = 0, k = 0;
  Matrix a, b, c;
  DType dtype = DType::kFloat32;         // of A and B
  DType result_dtype = DType::kFloat32;  // of C: dtype, or fp32
  float alpha = 1.0f, beta = 0.0f;
  int64_t outer = 1, inner = 1;
  DevicePtr bias;  // (n) in result_dtype, or null; needs alpha 1, beta 0 and a single product
};

// "bf16 product (m, n, k) x count", for errors.
std::string text_of(const GemmArguments& arguments);
// Throws std::invalid_argument on extents, leading dimensions or types that no device takes.
void check_product(const GemmArguments& arguments);

class Gemm {
 public:
  virtual ~Gemm() = default;
  // Temporary memory comes from the arena. Adds 2 m n k per product to device.flops.
  virtual void multiply(Stream stream, Arena& arena, const GemmArguments& arguments) = 0;
};

// The common case: dense tensors, ld = row length. c must already have its shape; x and y are seen
// as (rows, last extent). c = alpha a b + beta c.
void multiply(Arena& arena, Stream stream, const Tensor& a, bool transpose_a, const Tensor& b,
              bool transpose_b, const Tensor& c, float beta = 0.0f, float alpha = 1.0f);

// y = x w^T + bias: a linear layer. bias (n) in y's type, or empty.
void affine(Arena& arena, Stream stream, const Tensor& x, const Tensor& w, const Tensor& bias,
            const Tensor& y);

}  // namespace ab
