// Range: a named stretch of the calling thread's work, for a profiler's timeline (NVTX on CUDA;
// elsewhere nothing happens). Phases, parts of a step and layers open one each; a layer's is opened
// once more when the tape comes back to what the layer recorded.
#pragma once
#include <string>

#include "engine/context.h"

namespace ab {

class Range {
 public:
  Range(Runtime& runtime, const std::string& name) : runtime_(runtime) {
    runtime_.begin_range(name.c_str());
  }
  ~Range() { runtime_.end_range(); }
  Range(const Range&) = delete;

 private:
  Runtime& runtime_;
};

class LayerRange {
 public:
  // `name` must live as long as the tape.
  LayerRange(const Context& context, const std::string& name)
      : range_(context.device.runtime(), name), tape_(context.tape) {
    if (tape_) outer_ = tape_->enter_layer(&name);
  }
  ~LayerRange() {
    if (tape_) tape_->enter_layer(outer_);
  }

 private:
  Range range_;
  Tape* tape_;
  const std::string* outer_ = nullptr;
};

}  // namespace ab
