// Max pooling keeps one byte per output for backward, averages keep nothing: neither holds x or y.
// Averaging over windows is linear, and average_pool_backward its transpose: folded into a filter,
// the two change places.
#include "engine/ops/pooling.h"

#include <stdexcept>

#include "kernels/pooling.h"

namespace ab {
namespace {

void check_image(const Tensor& x) {
  if (x.shape().rank() != 4)
    throw std::invalid_argument("pooling takes x (N, H, W, C), not " + x.shape().text());
}

Shape out_shape(const PoolShape& s) {
  return {s.batch, s.out_height, s.out_width, s.channels};
}

PoolShape window_of(const Tensor& x, int64_t kernel, int64_t stride, int64_t padding) {
  check_image(x);
  const Shape& s = x.shape();
  return window_pool(s[0], s[1], s[2], s[3], kernel, stride, padding);
}

PoolShape bins_of(const Tensor& x, int64_t out_height, int64_t out_width) {
  check_image(x);
  const Shape& s = x.shape();
  return adaptive_pool(s[0], s[1], s[2], s[3], out_height, out_width);
}

Tensor average(Context& context, const Tensor& x, const PoolShape& shape, const Shape& result) {
  Tensor y = context.make(result, x.dtype());
  average_pool_forward(context.stream, x.dtype(), shape, x.data(), y.data());
  if (!context.wants(x)) return y;
  context.tape->track(y);
  context.tape->record([tape = context.tape, arena = &context.arena, stream = context.stream, shape,
                        extents = x.shape(), dtype = x.dtype(), slot = y.slot, x_slot = x.slot] {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) return;
    Tensor dx(*arena, extents, dtype);
    average_pool_backward(stream, dtype, shape, dy.data(), dx.data());
    tape->give_gradient(stream, x_slot, std::move(dx));
  });
  return y;
}

}  // namespace

Tensor max_pool(Context& context, const Tensor& x, int64_t kernel, int64_t stride,
                int64_t padding) {
  const PoolShape shape = window_of(x, kernel, stride, padding);
  Tensor y = context.make(out_shape(shape), x.dtype());
  Tensor taps;
  if (context.wants(x)) taps = context.make(out_shape(shape), DType::kUint8);
  max_pool_forward(context.stream, x.dtype(), shape, x.data(), y.data(), taps.data());
  if (!context.wants(x)) return y;
  context.tape->track(y);
  context.tape->record([tape = context.tape, arena = &context.arena, stream = context.stream, shape,
                        taps, extents = x.shape(), dtype = x.dtype(), slot = y.slot,
                        x_slot = x.slot] {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) return;
    Tensor dx(*arena, extents, dtype);
    max_pool_backward(stream, dtype, shape, taps.data(), dy.data(), dx.data());
    tape->give_gradient(stream, x_slot, std::move(dx));
  });
  return y;
}

Tensor average_pool(Context& context, const Tensor& x, int64_t kernel, int64_t stride,
                    int64_t padding) {
  const PoolShape shape = window_of(x, kernel, stride, padding);
  return average(context, x, shape, out_shape(shape));
}

Tensor adaptive_average_pool(Context& context, const Tensor& x, int64_t out_height,
                             int64_t out_width) {
  const PoolShape shape = bins_of(x, out_height, out_width);
  return average(context, x, shape, out_shape(shape));
}

Tensor fold_adaptive_pool(Context& context, const Operand& w, int64_t kernel_h, int64_t kernel_w,
                          int64_t height, int64_t width) {
  const int64_t outs = w.value.shape()[0], ins = w.value.elements() / (outs * kernel_h * kernel_w);
  const PoolShape shape = adaptive_pool(outs, height, width, ins, kernel_h, kernel_w);
  Tensor folded = context.make({outs, height, width, ins}, w.value.dtype());
  average_pool_backward(context.stream, folded.dtype(), shape, w.value.data(), folded.data());
  if (!context.tape || !w.wants_gradient()) return folded;
  context.tape->track(folded);
  w.use(*context.tape);
  context.tape->record([tape = context.tape, arena = &context.arena, stream = context.stream, shape,
                        w, slot = folded.slot] {
    const Tensor gradient = tape->take_gradient(slot);  // fp32, as of every weight
    if (!gradient) return w.skip(*tape);
    w.give_gradient(*tape, *arena, stream, [&](const Tensor& dw, float beta) {
      if (beta != 0.0f) throw std::logic_error("a filter is used once a step");
      average_pool_forward(stream, DType::kFloat32, shape, gradient.data(), dw.data());
    });
  });
  return folded;
}

Tensor global_average_pool(Context& context, const Tensor& x) {
  const PoolShape shape = bins_of(x, 1, 1);
  return average(context, x, shape, {shape.batch, shape.channels});
}

}  // namespace ab
