#include "engine/ops/dropout.h"

#include "kernels/dropout.h"

namespace ab {

Tensor dropout(Context& context, const Tensor& x, float rate) {
  if (rate == 0.0f || !context.training) return x;
  Tensor y = context.make(x.shape(), x.dtype());
  const int64_t samples = x.shape()[0];
  Dropout arguments{samples,
                    x.elements() / samples,
                    x.data(),
                    y.data(),
                    rate,
                    context.draw(),
                    context.first_sample,
                    context.random_origin};
  dropout(context.stream, x.dtype(), arguments);
  if (!context.wants(x)) return y;
  Tape* tape = context.tape;
  tape->track(y);
  tape->record([tape, stream = context.stream, arena = &context.arena, arguments, x_slot = x.slot,
                slot = y.slot]() mutable {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) return;
    Tensor dx(*arena, dy.shape(), dy.dtype());
    arguments.x = dy.data();
    arguments.y = dx.data();
    dropout(stream, dy.dtype(), arguments);
    tape->give_gradient(stream, x_slot, std::move(dx));
  });
  return y;
}

}  // namespace ab
