// A tensor's place on the tape without its memory: what a closure captures to hand a gradient on
// when it does not need the values, so that they can return to the arena.
#pragma once
#include "engine/tensor.h"

namespace ab {

inline Tensor gradient_slot(const Tensor& x) {
  Tensor place;
  place.slot = x.slot;
  return place;
}

}  // namespace ab
