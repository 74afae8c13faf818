#include "engine/ops/activation.h"

#include <stdexcept>

#include "kernels/activation.h"
#include "kernels/elementwise.h"

namespace ab {
namespace {

bool trains(const Parameter* bias) {
  return bias != nullptr && bias->trainable;
}

void check_bias(const Tensor& x, const Parameter* bias) {
  if (bias != nullptr && bias->shape.elements() != x.shape()[-1])
    throw std::invalid_argument("bias " + bias->name + " " + bias->shape.text() +
                                " does not fit the last axis of " + x.shape().text());
}

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

Tensor bias_relu(Context& context, const Tensor& z, Parameter& bias) {
  check_bias(z, &bias);
  Tensor y = z;
  y.slot = -1;
  bias_relu_forward(context.stream, z.dtype(),
                    {z.shape().rows(), z.shape()[-1], z.data(), bias.value.data(), y.data()});
  record_backward(context, y, z, y, &bias, relu_backward_bias);
  return y;
}

Tensor bias_gelu(Context& context, const Tensor& z, Parameter* bias) {
  check_bias(z, bias);
  Tensor y = context.make(z.shape(), z.dtype());
  bias_gelu_forward(context.stream, z.dtype(),
                    {z.shape().rows(), z.shape()[-1], z.data(),
                     bias ? bias->value.data() : DevicePtr(), y.data()});
  record_backward(context, y, z, z, bias, gelu_backward_bias);
  return y;
}

Tensor add_bias(Context& context, Tensor x, Parameter& bias) {
  check_bias(x, &bias);
  const int64_t rows = x.shape().rows(), cols = x.shape()[-1];
  add_bias(context.stream, x.dtype(), rows, cols, x.data(), bias.value.data());
  const int x_slot = x.slot;
  Tensor y = std::move(x);
  y.slot = -1;
  if (!context.tape || (x_slot < 0 && !bias.trainable)) return y;
  Tape* tape = context.tape;
  tape->track(y);
  if (bias.trainable) tape->use(bias);
  tape->record([tape, stream = context.stream, arena = &context.arena, rows, cols, bias = &bias,
                x_slot, slot = y.slot] {
    Tensor dy = tape->take_gradient(slot);
    if (dy && bias->trainable) {
      const int64_t floats = static_cast<int64_t>(column_scratch_bytes(rows, cols) / sizeof(float));
      const Tensor scratch(*arena, {floats}, DType::kFloat32);
      bias_gradient(stream, dy.dtype(),
                    {rows, cols, dy.data(), bias->gradient.data(), scratch.data(),
                     tape->claim_gradient(*bias)});
    }
    if (bias->trainable) tape->finish_use(*bias);
    if (dy) tape->give_gradient(stream, x_slot, std::move(dy));
  });
  return y;
}

}  // namespace ab
