#include "engine/gemm.h"

#include <stdexcept>

#include "engine/device.h"

namespace ab {

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
