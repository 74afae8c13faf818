// GradientExchange: how the gradients of a step become averages over ranks. The trainer and the
// tape see no more of a method than this.
#pragma once
#include "engine/parameter_store.h"

namespace ab {

class GradientExchange {
 public:
  virtual ~GradientExchange() = default;
  virtual void begin_step() = 0;
  // A parameter's gradient is complete: the tape's listener. Throws std::logic_error on a second
  // call in one step, because what it sends may have left already.
  virtual void ready(const Parameter& parameter) = 0;
  // Parameters that no closure touched count as zero. Afterwards the store's gradients are the
  // averages.
  virtual void finish_step() = 0;
  // How long the device's compute stream stood still for other ranks in the last step; to be asked
  // once the host has waited for the stream.
  virtual double waited_s() const = 0;
};

}  // namespace ab
