// Device: one rank's processor with its memory accounting and its vendor libraries.
// Everything above the seams is written against this class and never asks which device it is.
#pragma once
#include <memory>
#include <string>

#include "engine/runtime.h"

namespace ab {

class Gemm;
class Convolution;
class Decomposition;

// What has been allocated on a device; `allocations` counts calls, so that a test can prove that a
// step makes none.
struct MemoryCount {
  size_t bytes = 0, peak_bytes = 0;
  int64_t allocations = 0;
};

class Device {
 public:
  // index: the rank's place on its node, which picks the GPU; threads: OpenMP threads of the
  // calling rank on the host (0: as they are).
  static std::unique_ptr<Device> create(DeviceKind kind, int index = 0, int threads = 0);
  ~Device();
  Device(const Device&) = delete;

  DeviceKind kind() const { return kind_; }
  const std::string& description() const { return description_; }
  Stream stream() const { return stream_; }  // the compute stream
  Runtime& runtime() { return *runtime_; }
  Gemm& gemm() { return *gemm_; }
  Convolution& convolution() { return *convolution_; }
  Decomposition& decomposition() { return *decomposition_; }

  DevicePtr allocate(size_t bytes);
  void release(DevicePtr address, size_t bytes);
  const MemoryCount& memory() const { return memory_; }
  void reset_peak() { memory_.peak_bytes = memory_.bytes; }

  // Which piece of hardware this is, among all on its node: ranks with one identity share it.
  uint64_t identity() const { return identity_; }

  // fp32 products and convolutions may round their operands to TF32 (cuda alone); set before use.
  bool tf32 = false;
  // Multiply-adds times two that the seams were asked for so far (real, not padded).
  double flops = 0.0;

 private:
  Device() = default;
  void open_host();
  void open_cuda(int index);

  DeviceKind kind_ = DeviceKind::kHost;
  std::string description_;
  uint64_t identity_ = 0;
  Stream stream_;
  MemoryCount memory_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Gemm> gemm_;
  std::unique_ptr<Convolution> convolution_;
  std::unique_ptr<Decomposition> decomposition_;
};

// Owned bytes on a device; frees itself.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  DevicePtr data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Device* device_ = nullptr;
  DevicePtr data_;
  size_t bytes_ = 0;
};

}  // namespace ab
