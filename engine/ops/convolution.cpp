#include "engine/ops/convolution.h"

#include <stdexcept>

#include "engine/convolution.h"
#include "kernels/activation.h"

namespace ab {
namespace {

ConvolutionShape shape_of(const Tensor& x, const Operand& w, const ConvolutionWindow& window) {
  ConvolutionShape s{x.shape()[0],    x.shape()[1],       x.shape()[2],
                     x.shape()[3],    w.value.shape()[0], window.kernel_h,
                     window.kernel_w, window.stride,      window.padding};
  if (w.value.elements() != s.out_channels * s.kernel_h * s.kernel_w * s.in_channels)
    throw std::invalid_argument("convolution: x " + x.shape().text() + " against filters " +
                                w.value.shape().text());
  if (s.out_height() < 1 || s.out_width() < 1)
    throw std::invalid_argument("convolution: nothing is left of an image of " + x.shape().text());
  return s;
}

// What backward needs to know of the pass before it.
struct SavedConvolution {
  ConvolutionShape shape;
  Tensor x, y;  // y only behind a ReLU
  Operand w;
  Parameter* bias;
  int slot;
};

// dz = dy, through the ReLU if there was one; the bias gradient comes out of the same sweep. In
// dy's memory, unless somebody else holds it.
Tensor through_bias(Tape& tape, Arena& arena, Stream stream, const SavedConvolution& saved,
                    const Tensor& dy) {
  const int64_t cols = saved.shape.out_channels, rows = dy.elements() / cols;
  const bool bias = trains(saved.bias);
  Tensor scratch;
  if (bias)
    scratch =
        Tensor(arena, {static_cast<int64_t>(column_scratch_bytes(rows, cols))}, DType::kUint8);
  const DevicePtr db = bias ? saved.bias->gradient.data() : DevicePtr();
  const float beta = bias ? tape.claim_gradient(*saved.bias) : 0.0f;
  Tensor dz = saved.y && dy.is_shared() ? Tensor(arena, dy.shape(), dy.dtype()) : dy;
  if (saved.y)
    relu_backward_bias(
        stream, dy.dtype(),
        {rows, cols, dy.data(), saved.y.data(), dz.data(), db, scratch.data(), beta});
  else if (bias)
    bias_gradient(stream, dy.dtype(), {rows, cols, dy.data(), db, scratch.data(), beta});
  if (bias) tape.finish_use(*saved.bias);
  return dz;
}

void backward(Tape& tape, Arena& arena, Stream stream, const SavedConvolution& saved) {
  const Tensor dy = tape.take_gradient(saved.slot);
  if (!dy) {
    saved.w.skip(tape);
    if (trains(saved.bias)) tape.finish_use(*saved.bias);
    return;
  }
  const Tensor dz = through_bias(tape, arena, stream, saved, dy);
  Convolution& seam = arena.device().convolution();
  if (saved.w.wants_gradient())
    saved.w.give_gradient(tape, arena, stream, [&](const Tensor& dw, float beta) {
      if (beta != 0.0f) throw std::logic_error("a filter is used once a step");
      seam.backward_filter(stream, arena, saved.shape, dz.dtype(), saved.x.data(), dz.data(),
                           dw.data());
    });
  if (saved.x.slot < 0) return;
  Tensor dx(arena, saved.x.shape(), saved.x.dtype());
  seam.backward_data(stream, arena, saved.shape, dz.dtype(), dz.data(), saved.w.value.data(),
                     dx.data());
  tape.give_gradient(stream, saved.x, std::move(dx));
}

}  // namespace

Tensor convolution(Context& context, const Tensor& x, const Operand& w,
                   const ConvolutionWindow& window, Parameter* bias, bool relu) {
  const ConvolutionShape s = shape_of(x, w, window);
  Tensor y = context.make({s.batch, s.out_height(), s.out_width(), s.out_channels});
  context.device.convolution().forward(context.stream, context.arena, s, context.dtype, x.data(),
                                       w.value.data(), bias ? bias->value.data() : DevicePtr(),
                                       relu, y.data());
  if (!context.tape || (x.slot < 0 && !w.wants_gradient() && !trains(bias))) return y;
  context.tape->track(y);
  w.use(*context.tape);
  if (trains(bias)) context.tape->use(*bias);
  context.tape->record([tape = context.tape, arena = &context.arena, stream = context.stream,
                        saved = SavedConvolution{s, x, relu ? y : Tensor(), w, bias, y.slot}] {
    backward(*tape, *arena, stream, saved);
  });
  return y;
}

}  // namespace ab
