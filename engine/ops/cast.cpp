#include "engine/ops/cast.h"

#include "kernels/cast.h"

namespace ab {

Tensor cast(Context& context, const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = context.make(x.shape(), dtype);
  cast(context.stream, x.elements(), x.data(), x.dtype(), y.data(), dtype);
  if (!context.wants(x)) return y;
  Tape* tape = context.tape;
  tape->track(y);
  tape->record([tape, stream = context.stream, arena = &context.arena, x_slot = x.slot,
                from = x.dtype(), slot = y.slot] {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) return;
    Tensor dx(*arena, dy.shape(), from);
    cast(stream, dy.elements(), dy.data(), dy.dtype(), dx.data(), from);
    tape->give_gradient(stream, x_slot, std::move(dx));
  });
  return y;
}

}  // namespace ab
