#include "engine/ops/residual.h"

#include <stdexcept>

#include "kernels/dropout.h"
#include "kernels/elementwise.h"

namespace ab {
namespace {

void check_same(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype())
    throw std::invalid_argument("sum of " + a.shape().text() + " " + name_of(a.dtype()) + " and " +
                                b.shape().text() + " " + name_of(b.dtype()) +
                                ": shape and type must be the same");
}

}  // namespace

Tensor add(Context& context, const Tensor& a, const Tensor& b) {
  check_same(a, b);
  Tensor y = context.make(a.shape(), a.dtype());
  add(context.stream, a.dtype(), a.elements(), y.data(), a.data(), b.data());
  if (!context.wants(a) && !context.wants(b)) return y;
  Tape* tape = context.tape;
  tape->track(y);
  tape->record([tape, stream = context.stream, a_slot = a.slot, b_slot = b.slot, slot = y.slot] {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) return;
    tape->give_gradient(stream, a_slot, dy);
    tape->give_gradient(stream, b_slot, dy);
  });
  return y;
}

Tensor add_drop_path(Context& context, const Tensor& x, const Tensor& branch, float rate) {
  if (rate == 0.0f || !context.training) return add(context, x, branch);
  check_same(x, branch);
  Tensor y = context.make(x.shape(), x.dtype());
  const int64_t samples = x.shape()[0];
  DropPath arguments{samples,
                     x.elements() / samples,
                     x.data(),
                     branch.data(),
                     y.data(),
                     rate,
                     context.draw(),
                     context.first_sample,
                     context.random_origin};
  drop_path_add(context.stream, x.dtype(), arguments);
  if (!context.wants(x) && !context.wants(branch)) return y;
  Tape* tape = context.tape;
  tape->track(y);
  tape->record([tape, stream = context.stream, arena = &context.arena, arguments, x_slot = x.slot,
                branch_slot = branch.slot, slot = y.slot]() mutable {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) return;
    if (branch_slot >= 0) {
      Tensor dbranch(*arena, dy.shape(), dy.dtype());
      arguments.x = DevicePtr();
      arguments.branch = dy.data();
      arguments.out = dbranch.data();
      drop_path_backward(stream, dy.dtype(), arguments);
      tape->give_gradient(stream, branch_slot, std::move(dbranch));
    }
    tape->give_gradient(stream, x_slot, dy);
  });
  return y;
}

}  // namespace ab
