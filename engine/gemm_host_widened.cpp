// Products of bf16 matrices where oneDNN has no primitive for them: operands as floats in temporary
// memory, dense, in the order in which they are stored; an fp32 product; rounded once on the way
// out.
#include "engine/gemm_host.h"
#include "kernels/cast.h"
#include "kernels/numbers.h"

namespace ab {
namespace {

// Stored rows and columns of a matrix that counts as (rows, columns).
struct Extents {
  int64_t rows, columns;
  Extents(const Matrix& x, int64_t r, int64_t c)
      : rows(x.transposed ? c : r), columns(x.transposed ? r : c) {}
};

struct Batch {
  int64_t outer, inner;
};

// f(element of the strided matrices, element of the dense ones, length) for every stored row.
template <class F>
void for_each_row(const Batch& batch, const Extents& e, const Matrix& x, F f) {
#pragma omp parallel for schedule(static) collapse(2)
  for (int64_t product = 0; product < batch.outer * batch.inner; ++product)
    for (int64_t r = 0; r < e.rows; ++r)
      f(product / batch.inner * x.outer_stride + product % batch.inner * x.inner_stride + r * x.ld,
        (product * e.rows + r) * e.columns, e.columns);
}

// The same matrices as floats that lie densely in `memory`.
Matrix dense(const Batch& batch, const Extents& e, const Matrix& x, const Tensor& memory) {
  const int64_t one = e.rows * e.columns;
  return {memory.data(), e.columns, x.transposed, batch.inner * one, one};
}

Tensor floats(Arena& arena, const Batch& batch, const Extents& e) {
  return Tensor(arena, {batch.outer * batch.inner, e.rows, e.columns}, DType::kFloat32);
}

void widen(const Batch& batch, const Extents& e, const Matrix& x, const Tensor& memory) {
  const auto* from = x.data.as<const BFloat16>();
  auto* to = memory.data().as<float>();
  for_each_row(batch, e, x, [=](int64_t strided, int64_t at, int64_t length) {
#pragma omp simd
    for (int64_t c = 0; c < length; ++c) to[at + c] = load(from[strided + c]);
  });
}

void narrow(const Batch& batch, const Extents& e, const Matrix& x, const Tensor& memory) {
  const auto* from = memory.data().as<const float>();
  auto* to = x.data.as<BFloat16>();
  for_each_row(batch, e, x, [=](int64_t strided, int64_t at, int64_t length) {
#pragma omp simd
    for (int64_t c = 0; c < length; ++c) store(to + strided + c, from[at + c]);
  });
}

}  // namespace

void HostGemm::multiply_widened(Stream stream, Arena& arena, const GemmArguments& g) {
  const Batch batch{g.outer, g.inner};
  const Extents a(g.a, g.m, g.k), b(g.b, g.k, g.n), c(g.c, g.m, g.n);
  const bool narrows = g.result_dtype == DType::kBFloat16;
  const Tensor wide_a = floats(arena, batch, a), wide_b = floats(arena, batch, b);
  Tensor wide_c, wide_bias;
  GemmArguments wide = g;
  wide.dtype = wide.result_dtype = DType::kFloat32;
  wide.a = dense(batch, a, g.a, wide_a);
  wide.b = dense(batch, b, g.b, wide_b);
  if (narrows) {
    wide_c = floats(arena, batch, c);
    wide.c = dense(batch, c, g.c, wide_c);
  }
  if (narrows && g.bias) {
    wide_bias = Tensor(arena, {g.n}, DType::kFloat32);
    wide.bias = wide_bias.data();
    cast(stream, g.n, g.bias, DType::kBFloat16, wide.bias, DType::kFloat32);
  }
  if (!dry_) {
    widen(batch, a, g.a, wide_a);
    widen(batch, b, g.b, wide_b);
    if (narrows && g.beta != 0.0f) widen(batch, c, g.c, wide_c);
  }
  multiply(stream, arena, wide);
  if (narrows && !dry_) narrow(batch, c, g.c, wide_c);
}

}  // namespace ab
