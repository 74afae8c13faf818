#include "engine/ops/linear.h"

#include <stdexcept>

#include "engine/gemm.h"
#include "engine/ops/activation.h"
#include "kernels/columns.h"

namespace ab {
namespace {

Tensor as_matrix(const Tensor& t) {
  const int64_t columns = t.elements() / t.shape()[0];
  return t.reshaped({t.shape()[0], columns});
}

Shape with_last(const Shape& shape, int64_t last) {
  switch (shape.rank()) {
    case 2:
      return {shape[0], last};
    case 3:
      return {shape[0], shape[1], last};
    case 4:
      return {shape[0], shape[1], shape[2], last};
    default:
      throw std::invalid_argument("linear: x has shape " + shape.text());
  }
}

// What backward needs to know of a product before it.
struct SavedLinear {
  Tensor x;
  Operand w;
  Parameter* bias;  // whose gradient is made here
  int slot;
};

void give_bias_gradient(Tape& tape, Arena& arena, Stream stream, Parameter& bias,
                        const Tensor& dy) {
  const int64_t rows = dy.shape().rows(), cols = dy.shape()[-1];
  const Tensor scratch(arena, {static_cast<int64_t>(column_scratch_bytes(rows, cols))},
                       DType::kUint8);
  bias_gradient(
      stream, dy.dtype(),
      {rows, cols, dy.data(), bias.gradient.data(), scratch.data(), tape.claim_gradient(bias)});
  tape.finish_use(bias);
}

void backward(Tape& tape, Arena& arena, Stream stream, const SavedLinear& saved) {
  const Tensor dy = tape.take_gradient(saved.slot);
  if (!dy) {
    if (trains(saved.bias)) tape.finish_use(*saved.bias);
    return saved.w.skip(tape);
  }
  if (trains(saved.bias)) give_bias_gradient(tape, arena, stream, *saved.bias, dy);
  if (saved.w.wants_gradient())
    saved.w.give_gradient(tape, arena, stream, [&](const Tensor& dw, float beta) {
      multiply(arena, stream, dy, true, saved.x, false, as_matrix(dw), beta);
    });
  if (saved.x.slot < 0) return;
  Tensor dx(arena, saved.x.shape(), saved.x.dtype());
  multiply(arena, stream, dy, false, as_matrix(saved.w.value), false, dx);
  tape.give_gradient(stream, saved.x, std::move(dx));
}

// y = x w^T + added; backward makes the gradient of `trained`, which is `added` or null.
Tensor product(Context& context, const Tensor& x, const Operand& w, const Parameter* added,
               Parameter* trained) {
  const Tensor matrix = as_matrix(w.value);
  if (x.shape()[-1] != matrix.shape()[1])
    throw std::invalid_argument("linear: x " + x.shape().text() + " against w " +
                                w.value.shape().text());
  Tensor y = context.make(with_last(x.shape(), matrix.shape()[0]));
  affine(context.arena, context.stream, x, matrix, added ? added->compute : Tensor(), y);
  if (!context.tape || (x.slot < 0 && !w.wants_gradient() && !trains(trained))) return y;
  context.tape->track(y);
  w.use(*context.tape);
  if (trains(trained)) context.tape->use(*trained);
  context.tape->record(
      [tape = context.tape, stream = context.stream, arena = &context.arena,
       saved = SavedLinear{x, w, trained, y.slot}] { backward(*tape, *arena, stream, saved); });
  return y;
}

}  // namespace

Tensor linear(Context& context, const Tensor& x, const Operand& w, Parameter* bias) {
  return product(context, x, w, bias, bias);
}

Tensor linear_gelu(Context& context, const Tensor& x, const Operand& w, Parameter* bias) {
  return gelu(context, product(context, x, w, bias, nullptr), bias);
}

Tensor factor_product(Context& context, Parameter& outer, Parameter& inner, const Shape& shape) {
  Tensor w = context.make(shape);
  multiply(context.arena, context.stream, outer.compute, false, inner.compute, false, as_matrix(w));
  if (!context.tape || !(outer.trainable || inner.trainable)) return w;
  Tape* tape = context.tape;
  tape->track(w);
  for (Parameter* factor : {&outer, &inner})
    if (factor->trainable) tape->use(*factor);
  tape->record([tape, stream = context.stream, arena = &context.arena, outer = &outer,
                inner = &inner, slot = w.slot] {
    const Tensor gradient = tape->take_gradient(slot);  // fp32, like the masters it meets here
    const auto finish = [&](Parameter& factor, const Tensor& a, bool ta, const Tensor& b, bool tb) {
      if (!factor.trainable) return;
      if (gradient)
        multiply(*arena, stream, a, ta, b, tb, factor.gradient, tape->claim_gradient(factor));
      tape->finish_use(factor);
    };
    const Tensor dw = gradient ? as_matrix(gradient) : gradient;
    finish(*outer, dw, false, inner->value, true);
    finish(*inner, outer->value, true, dw, false);
  });
  return w;
}

}  // namespace ab
