// The host's runtime: plain memory, calls run at once on the calling thread.
#pragma once
#include <string>

#include "engine/runtime.h"

namespace ab {

class HostRuntime : public Runtime {
 public:
  DevicePtr allocate(size_t bytes) override;
  void release(DevicePtr address, size_t bytes) override;
  void copy_to_device(Stream, DevicePtr to, const void* from, size_t bytes) override;
  void write(Stream, DevicePtr to, size_t, const std::function<void(void*)>& fill) override {
    fill(to.as<void>());
  }
  void copy_to_host(Stream, void* to, DevicePtr from, size_t bytes) override;
  void copy(Stream, DevicePtr to, DevicePtr from, size_t bytes) override;
  void zero(Stream, DevicePtr to, size_t bytes) override;
  void synchronize(Stream) override {}
  Stream queue(Queue) override { return {DeviceKind::kHost, nullptr}; }
};

// CPU model, cores this process may use, vector extensions; for doctor and records of runs.
std::string host_description();

}  // namespace ab
