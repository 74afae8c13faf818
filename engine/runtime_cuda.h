// The CUDA runtime of one GPU: stream-ordered memory, pinned staging, three streams.
// Used by the thread that made it.
#pragma once
#include <cuda_runtime_api.h>

#include <array>
#include <string>
#include <vector>

#include "engine/handles_cuda.h"
#include "engine/runtime.h"

namespace ab {

// Throws DeviceError with the call and CUDA's name and words for the error.
void check_cuda(cudaError_t status, const char* call);
#define AB_CUDA(call) ::ab::check_cuda(call, #call)

class CudaRuntime : public Runtime {
 public:
  using EventHandle = cuda::Handle<cudaEvent_t, cudaEventDestroy>;

  // index: the rank's place on its node; ranks beyond the number of GPUs share them in turn. Throws
  // DeviceError where there is no GPU to be used.
  explicit CudaRuntime(int index);
  ~CudaRuntime() override;

  DevicePtr allocate(size_t bytes) override;
  void release(DevicePtr address, size_t bytes) override;
  void copy_to_device(Stream stream, DevicePtr to, const void* from, size_t bytes) override;
  void copy_to_host(Stream stream, void* to, DevicePtr from, size_t bytes) override;
  void copy(Stream stream, DevicePtr to, DevicePtr from, size_t bytes) override;
  void zero(Stream stream, DevicePtr to, size_t bytes) override;
  void synchronize(Stream stream) override;
  Stream queue(Queue queue) override;
  void wait_for(Stream later, Stream earlier) override;
  void set_watch(const std::function<void(double)>& watch) override { watch_ = watch; }
  void begin_range(const char* name) override;
  void end_range() override;
  double time(Stream stream, const std::function<void()>& put) override;
  std::unique_ptr<Event> event() override;
  std::unique_ptr<Stopwatch> stopwatch() override;
  std::unique_ptr<Graph> capture(const std::function<void()>& work) override;
  bool capturing() const { return capturing_; }

  // Name, memory, compute capability, CUDA version of driver and runtime.
  std::string description() const;
  // The same on every process that uses this GPU, different elsewhere on the node.
  uint64_t identity() const;

 private:
  using StreamHandle = cuda::Handle<cudaStream_t, cudaStreamDestroy>;
  using PinnedBytes = cuda::Handle<void*, cudaFreeHost>;
  // One stop on the way between pageable memory and the device.
  struct Staging {
    PinnedBytes memory;
    EventHandle passed;  // the last copy from or to it is done
  };

  Staging& next_staging();
  void refuse_in_capture(const char* what) const;
  void end_capture(cudaGraph_t* graph);
  void give_up_capture();
  void wait(const EventHandle& event);
  cudaStream_t stream_of(Stream stream) const { return static_cast<cudaStream_t>(stream.handle); }

  int device_ = 0;
  size_t held_ = 0;
  cudaMemPool_t pool_ = nullptr;  // the device's own, not ours to destroy
  std::array<StreamHandle, 3> queues_;
  std::vector<Staging> staging_;
  size_t turn_ = 0;
  bool capturing_ = false;
  std::vector<void*> released_;  // while capturing: given back when it is over
  EventHandle order_, reached_, start_, stop_;
  cudaError_t late_error_ = cudaSuccess;  // of a release, which may not throw
  std::function<void(double)> watch_;
};

}  // namespace ab
