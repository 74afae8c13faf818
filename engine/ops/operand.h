// Operand: a weight that an operation multiplies with: a parameter, or a tensor made from
// parameters (W = A B). It hides from the operation where the weight's gradient goes.
#pragma once
#include "engine/context.h"

namespace ab {

struct Operand {
  Tensor value;                    // in the compute dtype
  Parameter* parameter = nullptr;  // null: value.slot receives the gradient

  Operand(Parameter& weight) : value(weight.compute), parameter(&weight) {}
  Operand(Tensor weight) : value(std::move(weight)) {}

  // A frozen factor, or a product of frozen ones, costs no backward work.
  bool wants_gradient() const { return parameter ? parameter->trainable : value.slot >= 0; }

  // Forward: announces that a gradient will be written.
  void use(Tape& tape) const {
    if (parameter && parameter->trainable) tape.use(*parameter);
  }

  // Backward: write(destination fp32, beta) puts the gradient where it belongs.
  template <class Write>
  void give_gradient(Tape& tape, Arena& arena, Stream stream, Write write) const {
    if (parameter) {
      write(parameter->gradient, tape.claim_gradient(*parameter));
      tape.finish_use(*parameter);
    } else {
      Tensor gradient(arena, value.shape(), DType::kFloat32);
      write(gradient, 0.0f);
      tape.give_gradient(stream, value, std::move(gradient));
    }
  }
  // Backward when no gradient reached the result.
  void skip(Tape& tape) const {
    if (parameter && parameter->trainable) tape.finish_use(*parameter);
  }
};

}  // namespace ab
