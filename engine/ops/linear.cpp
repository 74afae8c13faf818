#include "engine/ops/linear.h"

#include <stdexcept>

#include "engine/gemm.h"

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

}  // namespace

Tensor linear(Context& context, const Tensor& x, const Operand& w) {
  const Tensor matrix = as_matrix(w.value);
  if (x.shape()[-1] != matrix.shape()[1])
    throw std::invalid_argument("linear: x " + x.shape().text() + " against w " +
                                w.value.shape().text());
  Tensor y = context.make(with_last(x.shape(), matrix.shape()[0]));
  multiply(context.arena, context.stream, x, false, matrix, true, y);
  if (!context.tape || (x.slot < 0 && !w.wants_gradient())) return y;
  Tape* tape = context.tape;
  tape->track(y);
  w.use(*tape);
  tape->record([tape, stream = context.stream, arena = &context.arena, x, w, slot = y.slot] {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) return w.skip(*tape);
    if (w.wants_gradient())
      w.give_gradient(*tape, *arena, stream, [&](const Tensor& dw, float beta) {
        multiply(*arena, stream, dy, true, x, false, as_matrix(dw), beta);
      });
    if (x.slot < 0) return;
    Tensor dx(*arena, x.shape(), x.dtype());
    multiply(*arena, stream, dy, false, as_matrix(w.value), false, dx);
    tape->give_gradient(stream, x, std::move(dx));
  });
  return y;
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
