// Host memory that comes here is pageable: it passes through a ring of pinned blocks, so a source
// may change as soon as the call returns, and copies run beside the host. All waiting is by polling
// an event, which leaves room for the watch; nothing here blocks inside the driver.
#include "engine/runtime_cuda.h"

#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace ab {
namespace {

constexpr size_t kStagingBytes = size_t{2} << 20;
constexpr size_t kStagingBlocks = 8;
constexpr int kSpins = 4096;  // polls before a wait starts to sleep between them

std::string mebibytes(size_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// An error that a query left behind would be taken for the next kernel launch's.
void forget_last_error() {
  (void)cudaGetLastError();
}

int count_devices() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  forget_last_error();
  throw DeviceError(std::string("device cuda: no GPU can be used on this machine (") +
                    (status == cudaSuccess ? "none is visible" : cudaGetErrorString(status)) +
                    "); use --device host, or look at CUDA_VISIBLE_DEVICES and the driver");
}

}  // namespace

void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  forget_last_error();
  cuda::vendor_failed(call,
                      std::string(cudaGetErrorName(status)) + ", " + cudaGetErrorString(status));
}

CudaRuntime::CudaRuntime(int index) : device_(index % count_devices()) {
  AB_CUDA(cudaSetDevice(device_));
  AB_CUDA(cudaDeviceGetDefaultMemPool(&pool_, device_));
  // Freed memory stays with the process: a border gives back and takes the same again.
  uint64_t keep = UINT64_MAX;
  AB_CUDA(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep));
  int least = 0, greatest = 0;
  AB_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  for (size_t i = 0; i < queues_.size(); ++i)  // copies and collectives are short: they go first
    AB_CUDA(cudaStreamCreateWithPriority(queues_[i].slot(), cudaStreamNonBlocking,
                                         i == 0 ? least : greatest));
  for (EventHandle* event : {&order_, &reached_})
    AB_CUDA(cudaEventCreateWithFlags(event->slot(), cudaEventDisableTiming));
  for (EventHandle* event : {&start_, &stop_})
    AB_CUDA(cudaEventCreateWithFlags(event->slot(), cudaEventDefault));
  staging_.resize(kStagingBlocks);
  for (Staging& block : staging_) {
    AB_CUDA(cudaHostAlloc(block.memory.slot(), kStagingBytes, cudaHostAllocDefault));
    AB_CUDA(cudaEventCreateWithFlags(block.passed.slot(), cudaEventDisableTiming));
  }
}

// Memory of pinned blocks goes away below: no copy may still be under way.
CudaRuntime::~CudaRuntime() {
  for (const StreamHandle& queue : queues_) (void)cudaStreamSynchronize(queue.get());
}

DevicePtr CudaRuntime::allocate(size_t bytes) {
  refuse_in_capture("device memory is taken");
  check_cuda(std::exchange(late_error_, cudaSuccess), "cudaFreeAsync");
  const size_t wanted = std::max<size_t>(bytes, 1);
  void* address = nullptr;
  const cudaStream_t compute = queues_[0].get();
  cudaError_t status = cudaMallocAsync(&address, wanted, compute);
  if (status == cudaErrorMemoryAllocation) {  // what the pool holds in other sizes may be enough
    forget_last_error();
    synchronize(queue(Queue::kCompute));
    AB_CUDA(cudaMemPoolTrimTo(pool_, 0));
    status = cudaMallocAsync(&address, wanted, compute);
  }
  if (status == cudaErrorMemoryAllocation) {
    forget_last_error();
    size_t available = 0, total = 0;
    AB_CUDA(cudaMemGetInfo(&available, &total));
    throw DeviceError("GPU memory: " + mebibytes(bytes) + " could not be had; " + mebibytes(held_) +
                      " are held, " + mebibytes(available) + " of " + mebibytes(total) +
                      " are free; a smaller data.local_batch needs less");
  }
  check_cuda(status, "cudaMallocAsync");
  held_ += bytes;
  return DevicePtr(address);
}

void CudaRuntime::release(DevicePtr address, size_t bytes) {
  held_ -= bytes;
  if (capturing_) return released_.push_back(address.as<void>());
  const cudaError_t status = cudaFreeAsync(address.as<void>(), queues_[0].get());
  if (status != cudaSuccess && late_error_ == cudaSuccess) late_error_ = status;
}

CudaRuntime::Staging& CudaRuntime::next_staging() {
  Staging& block = staging_[turn_++ % staging_.size()];
  wait(block.passed);  // at once for an event that was never recorded
  return block;
}

void CudaRuntime::copy_to_device(Stream stream, DevicePtr to, const void* from, size_t bytes) {
  refuse_in_capture("host memory is copied to the device");
  for (size_t at = 0; at < bytes; at += kStagingBytes) {
    const size_t part = std::min(kStagingBytes, bytes - at);
    const Staging& block = next_staging();
    std::memcpy(block.memory.get(), static_cast<const char*>(from) + at, part);
    AB_CUDA(cudaMemcpyAsync(to.plus_bytes(at).as<void>(), block.memory.get(), part,
                            cudaMemcpyHostToDevice, stream_of(stream)));
    AB_CUDA(cudaEventRecord(block.passed.get(), stream_of(stream)));
  }
}

// Up to kStagingBlocks parts are under way; the oldest is taken out while the others travel.
void CudaRuntime::copy_to_host(Stream stream, void* to, DevicePtr from, size_t bytes) {
  refuse_in_capture("device memory is copied to the host");
  const size_t parts = (bytes + kStagingBytes - 1) / kStagingBytes;
  std::array<const Staging*, kStagingBlocks> under_way{};
  for (size_t i = 0; i < parts + kStagingBlocks; ++i) {
    if (i >= kStagingBlocks && i - kStagingBlocks < parts) {
      const size_t at = (i - kStagingBlocks) * kStagingBytes;
      const Staging& block = *under_way[i % kStagingBlocks];
      wait(block.passed);
      std::memcpy(static_cast<char*>(to) + at, block.memory.get(),
                  std::min(kStagingBytes, bytes - at));
    }
    if (i >= parts) continue;
    const size_t at = i * kStagingBytes;
    const Staging& block = next_staging();
    AB_CUDA(cudaMemcpyAsync(block.memory.get(), from.plus_bytes(at).as<void>(),
                            std::min(kStagingBytes, bytes - at), cudaMemcpyDeviceToHost,
                            stream_of(stream)));
    AB_CUDA(cudaEventRecord(block.passed.get(), stream_of(stream)));
    under_way[i % kStagingBlocks] = &block;
  }
}

void CudaRuntime::copy(Stream stream, DevicePtr to, DevicePtr from, size_t bytes) {
  if (bytes > 0)
    AB_CUDA(cudaMemcpyAsync(to.as<void>(), from.as<void>(), bytes, cudaMemcpyDeviceToDevice,
                            stream_of(stream)));
}

void CudaRuntime::zero(Stream stream, DevicePtr to, size_t bytes) {
  if (bytes > 0) AB_CUDA(cudaMemsetAsync(to.as<void>(), 0, bytes, stream_of(stream)));
}

void CudaRuntime::synchronize(Stream stream) {
  refuse_in_capture("the host waits for the device");
  AB_CUDA(cudaEventRecord(reached_.get(), stream_of(stream)));
  wait(reached_);
  check_cuda(std::exchange(late_error_, cudaSuccess), "cudaFreeAsync");
}

void CudaRuntime::wait(const EventHandle& event) {
  const auto start = std::chrono::steady_clock::now();
  for (int64_t polls = 1;; ++polls) {
    const cudaError_t status = cudaEventQuery(event.get());
    if (status == cudaSuccess) return;
    if (status != cudaErrorNotReady) check_cuda(status, "work on the GPU (cudaEventQuery)");
    forget_last_error();
    if (polls % 128 != 0) continue;
    if (watch_)
      watch_(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    if (polls >= kSpins) std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

Stream CudaRuntime::queue(Queue queue) {
  return {DeviceKind::kCuda, queues_[static_cast<size_t>(queue)].get()};
}

// A wait takes the event as it was last recorded, so one event serves all pairs of queues.
void CudaRuntime::wait_for(Stream later, Stream earlier) {
  AB_CUDA(cudaEventRecord(order_.get(), stream_of(earlier)));
  AB_CUDA(cudaStreamWaitEvent(stream_of(later), order_.get(), 0));
}

void CudaRuntime::begin_range(const char* name) {
  nvtxRangePushA(name);
}

void CudaRuntime::end_range() {
  nvtxRangePop();
}

double CudaRuntime::time(Stream stream, const std::function<void()>& put) {
  refuse_in_capture("the host waits for the device");
  AB_CUDA(cudaEventRecord(start_.get(), stream_of(stream)));
  put();
  AB_CUDA(cudaEventRecord(stop_.get(), stream_of(stream)));
  wait(stop_);
  float ms = 0.0f;
  AB_CUDA(cudaEventElapsedTime(&ms, start_.get(), stop_.get()));
  return ms / 1e3;
}

std::string CudaRuntime::description() const {
  cudaDeviceProp properties;
  AB_CUDA(cudaGetDeviceProperties(&properties, device_));
  int driver = 0, runtime = 0;
  AB_CUDA(cudaDriverGetVersion(&driver));
  AB_CUDA(cudaRuntimeGetVersion(&runtime));
  return std::string(properties.name) + ", " + mebibytes(properties.totalGlobalMem) + ", sm_" +
         std::to_string(properties.major) + std::to_string(properties.minor) + ", " +
         std::to_string(properties.multiProcessorCount) + " multiprocessors, driver for CUDA " +
         version_text(driver) + ", runtime " + version_text(runtime);
}

uint64_t CudaRuntime::identity() const {
  cudaDeviceProp properties;
  AB_CUDA(cudaGetDeviceProperties(&properties, device_));
  uint64_t hash = 1469598103934665603u;  // FNV-1a
  for (const char c : properties.uuid.bytes)
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

}  // namespace ab
