#include "engine/ops/layer_norm.h"

#include <stdexcept>

#include "kernels/layer_norm.h"

namespace ab {
namespace {

struct SavedLayerNorm {
  Tape* tape;
  Stream stream;
  Arena* arena;
  Tensor x, mean, rstd;
  Parameter *gamma, *beta;
  int slot;
};

void backward(const SavedLayerNorm& s) {
  const Tensor dy = s.tape->take_gradient(s.slot);
  if (dy) {
    const int64_t rows = s.x.shape().rows(), cols = s.x.shape()[-1];
    Tensor dx(*s.arena, s.x.shape(), s.x.dtype()), scratch;
    LayerNormGradient a;
    a.rows = rows, a.cols = cols;
    a.x = s.x.data(), a.dy = dy.data(), a.dx = dx.data();
    a.gamma = s.gamma->value.data();
    a.mean = s.mean.data(), a.rstd = s.rstd.data();
    if (s.gamma->trainable || s.beta->trainable) {
      const size_t bytes = layer_norm_scratch_bytes(rows, cols);
      scratch = Tensor(*s.arena, {static_cast<int64_t>(bytes / sizeof(float))}, DType::kFloat32);
      a.scratch = scratch.data();
    }
    if (s.gamma->trainable) {
      a.dgamma = s.gamma->gradient.data();
      a.gamma_factor = s.tape->claim_gradient(*s.gamma);
    }
    if (s.beta->trainable) {
      a.dbeta = s.beta->gradient.data();
      a.beta_factor = s.tape->claim_gradient(*s.beta);
    }
    layer_norm_backward(s.stream, s.x.dtype(), a);
    s.tape->give_gradient(s.stream, s.x, std::move(dx));
  }
  if (s.gamma->trainable) s.tape->finish_use(*s.gamma);
  if (s.beta->trainable) s.tape->finish_use(*s.beta);
}

}  // namespace

Tensor layer_norm(Context& context, const Tensor& x, Parameter& gamma, Parameter& beta,
                  float epsilon) {
  const int64_t rows = x.shape().rows(), cols = x.shape()[-1];
  if (gamma.shape.elements() != cols || beta.shape.elements() != cols)
    throw std::invalid_argument("layer norm " + gamma.name + " " + gamma.shape.text() +
                                " does not fit the last axis of " + x.shape().text());
  Tensor y = context.make(x.shape(), x.dtype());
  const Tensor mean = context.make({rows}, DType::kFloat32);
  const Tensor rstd = context.make({rows}, DType::kFloat32);
  layer_norm_forward(context.stream, x.dtype(),
                     {rows, cols, x.data(), y.data(), gamma.value.data(), beta.value.data(),
                      mean.data(), rstd.data(), epsilon});
  if (!context.tape || (x.slot < 0 && !gamma.trainable && !beta.trainable)) return y;
  Tape* tape = context.tape;
  tape->track(y);
  if (gamma.trainable) tape->use(gamma);
  if (beta.trainable) tape->use(beta);
  tape->record([saved = SavedLayerNorm{tape, context.stream, &context.arena, x, mean, rstd, &gamma,
                                       &beta, y.slot}] { backward(saved); });
  return y;
}

}  // namespace ab
