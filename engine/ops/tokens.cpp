// Backward of these operations needs shapes and slots only: no activation is kept alive.
#include "engine/ops/tokens.h"

#include <stdexcept>

#include "kernels/tokens.h"

namespace ab {
namespace {

TokenShape tokens_of(const Tensor& x) {
  if (x.shape().rank() != 3)
    throw std::invalid_argument("a token sequence has shape (N, T, D), not " + x.shape().text());
  return {x.shape()[0], x.shape()[1], x.shape()[2]};
}

void assemble_backward(Tape& tape, Arena& arena, Stream stream, const TokenShape& s, int slot,
                       int x_slot, Parameter& class_token, Parameter& positions) {
  const Tensor dy = tape.take_gradient(slot);
  if (dy) {
    Tensor dx;
    if (x_slot >= 0) dx = Tensor(arena, {s.batch, s.tokens, s.dim}, dy.dtype());
    TokenGradients out;
    out.dy = dy.data();
    out.dx = dx.data();
    if (class_token.trainable) {
      out.dclass = class_token.gradient.data();
      out.keep_class = tape.claim_gradient(class_token);
    }
    if (positions.trainable) {
      out.dpositions = positions.gradient.data();
      out.keep_positions = tape.claim_gradient(positions);
    }
    assemble_tokens_backward(stream, dy.dtype(), s, out);
    if (dx) tape.give_gradient(stream, x_slot, std::move(dx));
  }
  for (Parameter* parameter : {&class_token, &positions})
    if (parameter->trainable) tape.finish_use(*parameter);
}

}  // namespace

Tensor patches(Context& context, const Tensor& x, int64_t patch) {
  if (x.shape().rank() != 4)
    throw std::invalid_argument("patches takes x (N, H, W, C), not " + x.shape().text());
  if (context.wants(x)) throw std::invalid_argument("patches passes no gradient to its image");
  const PatchShape s{x.shape()[0], x.shape()[1], x.shape()[2], x.shape()[3], patch};
  if (patch < 1 || s.height % patch || s.width % patch)
    throw std::invalid_argument("patches of " + std::to_string(patch) + " do not tile x " +
                                x.shape().text() + ": its sides must be multiples");
  Tensor y = context.make(
      {s.batch, (s.height / patch) * (s.width / patch), patch * patch * s.channels}, x.dtype());
  extract_patches(context.stream, x.dtype(), s, x.data(), y.data());
  return y;
}

Tensor assemble_tokens(Context& context, const Tensor& x, Parameter& class_token,
                       Parameter& positions) {
  const TokenShape s = tokens_of(x);
  if (class_token.shape.elements() != s.dim || positions.shape.elements() != (s.tokens + 1) * s.dim)
    throw std::invalid_argument("assemble_tokens: class token " + class_token.shape.text() +
                                " and positions " + positions.shape.text() + " against x " +
                                x.shape().text());
  Tensor y = context.make({s.batch, s.tokens + 1, s.dim}, x.dtype());
  assemble_tokens_forward(context.stream, x.dtype(), s, x.data(), class_token.value.data(),
                          positions.value.data(), y.data());
  if (!context.tape || !(x.slot >= 0 || class_token.trainable || positions.trainable)) return y;
  context.tape->track(y);
  for (Parameter* parameter : {&class_token, &positions})
    if (parameter->trainable) context.tape->use(*parameter);
  context.tape->record([tape = context.tape, arena = &context.arena, stream = context.stream, s,
                        slot = y.slot, x_slot = x.slot, token = &class_token, place = &positions] {
    assemble_backward(*tape, *arena, stream, s, slot, x_slot, *token, *place);
  });
  return y;
}

Tensor class_token_of(Context& context, const Tensor& x) {
  const TokenShape s = tokens_of(x);
  Tensor y = context.make({s.batch, s.dim}, x.dtype());
  first_token_forward(context.stream, x.dtype(), s, x.data(), y.data());
  if (!context.wants(x)) return y;
  context.tape->track(y);
  context.tape->record([tape = context.tape, arena = &context.arena, stream = context.stream, s,
                        slot = y.slot, x_slot = x.slot] {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) return;
    Tensor dx(*arena, {s.batch, s.tokens, s.dim}, dy.dtype());
    first_token_backward(stream, dy.dtype(), s, dy.data(), dx.data());
    tape->give_gradient(stream, x_slot, std::move(dx));
  });
  return y;
}

}  // namespace ab
