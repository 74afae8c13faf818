#include "engine/ops/activation.h"

#include "kernels/activation.h"

namespace ab {
namespace {

// What the closures of both activations do: dz from dy, and the bias gradient in the same sweep.
using Sweep = void (*)(Stream, DType, const BiasActivationGradient&);

void record_backward(Context& context, Tensor& y, const Tensor& z, const Tensor& saved,
                     Parameter* bias, Sweep sweep) {
  if (!context.tape || (z.slot < 0 && !trains(bias))) return;
  Tape* tape = context.tape;
  tape->track(y);
  if (trains(bias)) tape->use(*bias);
  tape->record([tape, stream = context.stream, arena = &context.arena, saved, bias, sweep,
                z_slot = z.slot, slot = y.slot] {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) {
      if (trains(bias)) tape->finish_use(*bias);
      return;
    }
    const int64_t rows = saved.shape().rows(), cols = saved.shape()[-1];
    Tensor dz(*arena, saved.shape(), saved.dtype()), scratch;
    BiasActivationGradient a{rows, cols, dy.data(), saved.data(), dz.data(), {}, {}, 0.0f};
    if (trains(bias)) {
      const int64_t floats = static_cast<int64_t>(column_scratch_bytes(rows, cols) / sizeof(float));
      scratch = Tensor(*arena, {floats}, DType::kFloat32);
      a.dbias = bias->gradient.data();
      a.scratch = scratch.data();
      a.beta = tape->claim_gradient(*bias);
    }
    sweep(stream, saved.dtype(), a);
    if (trains(bias)) tape->finish_use(*bias);
    tape->give_gradient(stream, z_slot, std::move(dz));
  });
}

}  // namespace

Tensor relu(Context& context, const Tensor& x) {
  Tensor y = context.make(x.shape(), x.dtype());
  relu_forward(context.stream, x.dtype(), x.elements(), y.data(), x.data());
  record_backward(context, y, x, y, nullptr, relu_backward_bias);
  return y;
}

Tensor gelu(Context& context, const Tensor& z, Parameter* bias) {
  Tensor y = context.make(z.shape(), z.dtype());
  gelu_forward(context.stream, z.dtype(), z.elements(), y.data(), z.data());
  record_backward(context, y, z, z, bias, gelu_backward_bias);
  return y;
}

}  // namespace ab
