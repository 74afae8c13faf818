// Events, stopwatches and graphs of the CUDA runtime.
//   A step is captured in thread-local mode: ranks may be threads of one process, and those that do
//   not capture go on asking and allocating. Capture starts on the compute queue; the communication
//   queue joins it by the events of wait_for(). A record that others shall see at each launch is an
//   external one.
#include <algorithm>

#include "engine/runtime_cuda.h"

namespace ab {
namespace {

cudaStream_t raw(Stream stream) {
  return static_cast<cudaStream_t>(stream.handle);
}

class CudaEvent : public Event {
 public:
  CudaEvent() { AB_CUDA(cudaEventCreateWithFlags(event_.slot(), cudaEventDisableTiming)); }
  void record(Stream stream) override { AB_CUDA(cudaEventRecord(event_.get(), raw(stream))); }
  void wait(Stream stream) override { AB_CUDA(cudaStreamWaitEvent(raw(stream), event_.get(), 0)); }

 private:
  CudaRuntime::EventHandle event_;
};

// A pair of events with timing around each stretch.
class CudaStopwatch : public Stopwatch {
 public:
  explicit CudaStopwatch(const CudaRuntime& runtime) : runtime_(runtime) {}
  void reset() override { used_ = 0; }
  void start(Stream stream) override {
    if (used_ == stretches_.size())
      for (CudaRuntime::EventHandle* event : stretches_.emplace_back().ends())
        AB_CUDA(cudaEventCreateWithFlags(event->slot(), cudaEventDefault));
    record(stretches_[used_++].start, stream);
  }
  void stop(Stream stream) override { record(stretches_[used_ - 1].stop, stream); }
  double seconds() const override {
    double sum = 0.0;
    for (size_t i = 0; i < used_; ++i) {
      float ms = 0.0f;
      AB_CUDA(cudaEventElapsedTime(&ms, stretches_[i].start.get(), stretches_[i].stop.get()));
      sum += ms / 1e3;
    }
    return sum;
  }

 private:
  struct Stretch {
    CudaRuntime::EventHandle start, stop;
    std::array<CudaRuntime::EventHandle*, 2> ends() { return {&start, &stop}; }
  };
  void record(const CudaRuntime::EventHandle& event, Stream stream) const {
    AB_CUDA(cudaEventRecordWithFlags(
        event.get(), raw(stream),
        runtime_.capturing() ? cudaEventRecordExternal : cudaEventRecordDefault));
  }

  const CudaRuntime& runtime_;
  std::vector<Stretch> stretches_;
  size_t used_ = 0;
};

class CudaGraph : public Graph {
 public:
  CudaGraph(cudaGraph_t graph, Stream stream) : stream_(stream) {
    AB_CUDA(cudaGraphInstantiate(executable_.slot(), graph, 0));
  }
  void launch() override { AB_CUDA(cudaGraphLaunch(executable_.get(), raw(stream_))); }

 private:
  cuda::Handle<cudaGraphExec_t, cudaGraphExecDestroy> executable_;
  Stream stream_;
};

}  // namespace

std::unique_ptr<Event> CudaRuntime::event() {
  return std::make_unique<CudaEvent>();
}

std::unique_ptr<Stopwatch> CudaRuntime::stopwatch() {
  return std::make_unique<CudaStopwatch>(*this);
}

void CudaRuntime::refuse_in_capture(const char* what) const {
  if (capturing_) throw NotCapturable(std::string(what) + " inside a CUDA graph");
}

std::unique_ptr<Graph> CudaRuntime::capture(const std::function<void()>& work) {
  cuda::Handle<cudaGraph_t, cudaGraphDestroy> graph;
  try {
    AB_CUDA(cudaStreamBeginCapture(queues_[0].get(), cudaStreamCaptureModeThreadLocal));
    capturing_ = true;
    work();
    end_capture(graph.slot());
    return std::make_unique<CudaGraph>(graph.get(), queue(Queue::kCompute));
  } catch (const DeviceError& error) {  // also what a library does not let be captured
    give_up_capture();
    throw NotCapturable(error.what());
  } catch (...) {
    give_up_capture();
    throw;
  }
}

// Memory that was released meanwhile goes back now.
void CudaRuntime::end_capture(cudaGraph_t* graph) {
  capturing_ = false;
  const cudaError_t status = cudaStreamEndCapture(queues_[0].get(), graph);
  for (void* address : std::exchange(released_, {}))
    if (const cudaError_t freed = cudaFreeAsync(address, queues_[0].get()); freed != cudaSuccess)
      late_error_ = freed;
  check_cuda(status, "cudaStreamEndCapture");
}

// Queues that were drawn in are joined first: a capture with loose ends does not end.
void CudaRuntime::give_up_capture() {
  if (!capturing_) return;
  cuda::Handle<cudaGraph_t, cudaGraphDestroy> graph;
  try {
    for (const Queue other : {Queue::kCopy, Queue::kCommunication}) {
      cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
      AB_CUDA(cudaStreamIsCapturing(raw(queue(other)), &status));
      if (status == cudaStreamCaptureStatusActive) wait_for(queue(Queue::kCompute), queue(other));
    }
    end_capture(graph.slot());
  } catch (const DeviceError&) {  // the first error is the one to tell
    if (std::exchange(capturing_, false))
      (void)cudaStreamEndCapture(queues_[0].get(), graph.slot());
  }
  (void)cudaGetLastError();
}

}  // namespace ab
