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
  if (g.bias && (g.alpha != 1.0f || g.beta != 0.0f || g.outer * g.inner != 1))
    throw std::invalid_argument(text_of(g) +
                                ": a bias goes with alpha 1, beta 0 and a single product");
}

namespace {

// Dense tensors: a row's length is the leading dimension.
GemmArguments dense(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b,
                    const Tensor& c) {
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
  return arguments;
}

}  // namespace

void multiply(Arena& arena, Stream stream, const Tensor& a, bool transpose_a, const Tensor& b,
              bool transpose_b, const Tensor& c, float beta, float alpha) {
  GemmArguments arguments = dense(a, transpose_a, b, transpose_b, c);
  arguments.alpha = alpha;
  arguments.beta = beta;
  arena.device().gemm().multiply(stream, arena, arguments);
}

void affine(Arena& arena, Stream stream, const Tensor& x, const Tensor& w, const Tensor& bias,
            const Tensor& y) {
  GemmArguments arguments = dense(x, false, w, true, y);
  if (bias) {
    if (bias.elements() != arguments.n || bias.dtype() != y.dtype())
      throw std::invalid_argument("affine: bias " + bias.shape().text() + " " +
                                  name_of(bias.dtype()) + " does not fit " + y.shape().text() +
                                  " " + name_of(y.dtype()));
    arguments.bias = bias.data();
  }
  arena.device().gemm().multiply(stream, arena, arguments);
}

}  // namespace ab
