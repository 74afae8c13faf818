// Range: a named stretch of the calling thread's work, for a profiler's timeline (NVTX on CUDA;
// elsewhere nothing happens). Phases, parts of a step and layers open one each.
#pragma once
#include <string>

#include "engine/runtime.h"

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

}  // namespace ab
