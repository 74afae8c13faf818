// A runtime without memory: distinct addresses are handed out, nothing is ever read or written.
// The planner walks a training step on it to learn its peak memory and its operations.
#pragma once
#include "engine/runtime.h"

namespace ab {

class DryRuntime : public Runtime {
 public:
  DevicePtr allocate(size_t bytes) override {
    const DevicePtr address(reinterpret_cast<void*>(next_));
    next_ += (bytes + 127) / 64 * 64;
    return address;
  }
  void release(DevicePtr, size_t) override {}
  void copy_to_device(Stream, DevicePtr, const void*, size_t) override {}
  void copy_to_host(Stream, void*, DevicePtr, size_t) override {}
  void copy(Stream, DevicePtr, DevicePtr, size_t) override {}
  void zero(Stream, DevicePtr, size_t) override {}
  void synchronize(Stream) override {}
  Stream queue(Queue) override { return {DeviceKind::kDry, nullptr}; }

 private:
  uintptr_t next_ = uintptr_t{1} << 40;
};

}  // namespace ab
