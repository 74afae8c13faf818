// The registry of devices: the one file above the seams that knows which of them this build has.
#include "engine/device.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

#include <algorithm>
#include <utility>

#include "engine/convolution_host.h"
#include "engine/decomposition_host.h"
#include "engine/error.h"
#include "engine/gemm_host.h"
#include "engine/runtime_dry.h"
#include "engine/runtime_host.h"
#if AB_WITH_CUDA
#include "engine/convolution_cuda.h"
#include "engine/decomposition_cuda.h"
#include "engine/gemm_cuda.h"
#include "engine/runtime_cuda.h"
#endif

namespace ab {

std::unique_ptr<Device> Device::create(DeviceKind kind, int index, int threads) {
#if defined(_OPENMP)
  if (threads > 0) omp_set_num_threads(threads);
#else
  (void)threads;
#endif
  std::unique_ptr<Device> device(new Device);
  device->kind_ = kind;
  if (kind == DeviceKind::kCuda)
    device->open_cuda(index);
  else
    device->open_host();
  device->stream_ = device->runtime_->queue(Queue::kCompute);
  return device;
}

void Device::open_host() {
  const bool dry = kind_ == DeviceKind::kDry;
  if (dry)
    runtime_ = std::make_unique<DryRuntime>();
  else
    runtime_ = std::make_unique<HostRuntime>();
  description_ = dry ? "dry" : host_description();
  gemm_ = std::make_unique<HostGemm>(*this, dry);
  convolution_ = std::make_unique<HostConvolution>(*this, dry);
  decomposition_ = std::make_unique<HostDecomposition>(*this, dry);
}

#if AB_WITH_CUDA
void Device::open_cuda(int index) {
  auto runtime = std::make_unique<CudaRuntime>(index);
  description_ = runtime->description();
  identity_ = runtime->identity();
  runtime_ = std::move(runtime);
  gemm_ = std::make_unique<CudaGemm>(*this);
  convolution_ = std::make_unique<CudaConvolution>(*this);
  decomposition_ = std::make_unique<CudaDecomposition>(*this);
}
#else
void Device::open_cuda(int) {
  throw DeviceError(
      "device cuda: this build has no CUDA device; use --device host, or build with the toolkit "
      "(cmake --preset cuda)");
}
#endif

Device::~Device() = default;

DevicePtr Device::allocate(size_t bytes) {
  const DevicePtr address = runtime_->allocate(bytes);
  memory_.bytes += bytes;
  memory_.peak_bytes = std::max(memory_.peak_bytes, memory_.bytes);
  ++memory_.allocations;
  return address;
}

void Device::release(DevicePtr address, size_t bytes) {
  runtime_->release(address, bytes);
  memory_.bytes -= bytes;
}

Buffer::Buffer(Device& device, size_t bytes)
    : device_(&device), data_(device.allocate(bytes)), bytes_(bytes) {}

Buffer::~Buffer() {
  if (data_) device_->release(data_, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : device_(other.device_), data_(other.data_), bytes_(other.bytes_) {
  other.data_ = DevicePtr();
  other.bytes_ = 0;
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace ab
