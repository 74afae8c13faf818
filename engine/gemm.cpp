#include "engine/gemm.h"

#include <stdexcept>

#include "engine/device.h"

namespace ab {

std::string text_of(const GemmArguments& g) {
  return std::string(name_of(g.dtype)) + " product (" + std::to_string(g.m) + ", " +
         std::to_string(g.n) + ", " + std::to_string(g.k) + ") x " +
         std::to_string(g.outer * g.inner);
}

void check_product(const GemmArguments& g) {
  const auto fits = [](const Matrix& x, int64_t rows, int64_t columns) {
    return x.ld >= (x.transposed ? rows : columns);
  };
  if (g.m < 1 || g.n < 1 || g.k < 1 || g.outer < 1 || g.inner < 1)
    throw std::invalid_argument(text_of(g) + ": every extent must be at least 1");
  if (g.alpha == 0.0f) throw std::invalid_argument(text_of(g) + ": alpha is 0");
  if (!fits(g.a, g.m, g.k) || !fits(g.b, g.k, g.n) || !fits(g.c, g.m, g.n) || g.c.transposed)
    throw std::invalid_argument(text_of(g) + ": a leading dimension is shorter than a row (" +
                                std::to_string(g.a.ld) + ", " + std::to_string(g.b.ld) + ", " +
                                std::to_string(g.c.ld) + "), or C is transposed");
  const bool types = g.dtype == DType::kFloat32
                         ? g.result_dtype == DType::kFloat32
                         : g.dtype == DType::kBFloat16 && (g.result_dtype == DType::kBFloat16 ||
                                                           g.result_dtype == DType::kFloat32);
  if (!types) throw std::invalid_argument(text_of(g) + ": cannot write " + name_of(g.result_dtype));
}

void multiply(Arena& arena, Stream stream, const Tensor& a, bool transpose_a, const Tensor& b,
              bool transpose_b, const Tensor& c, float beta) {
  const int64_t a_columns = a.shape()[-1], b_columns = b.shape()[-1];
  GemmArguments arguments;
  arguments.m = transpose_a ? a_columns : a.shape().rows();
  arguments.k = transpose_a ? a.shape().rows() : a_columns;
  arguments.n = transpose_b ? b.shape().rows() : b_columns;
  const int64_t b_depth = transpose_b ? b_columns : b.shape().rows();
  if (b_depth != arguments.k || c.shape().rows() != arguments.m || c.shape()[-1] != arguments.n ||
      a.dtype() != b.dtype())
    throw std::invalid_argument("multiply: " + a.shape().text() + (transpose_a ? "^T " : " ") +
                                name_of(a.dtype()) + " times " + b.shape().text() +
                                (transpose_b ? "^T " : " ") + name_of(b.dtype()) + " into " +
                                c.shape().text() + ": inner extents and types must agree");
  arguments.a = {a.data(), a_columns, transpose_a};
  arguments.b = {b.data(), b_columns, transpose_b};
  arguments.c = {c.data(), arguments.n};
  arguments.dtype = a.dtype();
  arguments.result_dtype = c.dtype();
  arguments.beta = beta;
  arena.device().gemm().multiply(stream, arena, arguments);
}

}  // namespace ab
