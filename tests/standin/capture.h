// Stream capture and graphs. Between cudaStreamBeginCapture and cudaStreamEndCapture what is put on
// a stream is kept and not run; waiting for an event that was recorded in a capture draws the
// waiting stream into it. A launch runs everything kept, in the order in which it was kept, on
// lanes: one stream of the graph's own for each stream that took part, so that clocks, addresses
// and lifetimes are checked anew at every launch. Strict where the documentation says "potentially
// unsafe": what allocates, frees, waits or asks is an error for a thread that captures
// (cudaMallocAsync too, which would become a node that owns memory), and an error ends the capture.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "tests/standin/streams.h"

namespace ab::standin {

struct Node {
  enum Kind : uint8_t { kRun, kRecord, kWait, kRecordEvent };
  size_t lane = 0;
  Kind kind = kRun;
  Operation run = {};           // kRun
  size_t mark = 0;              // kRecord, kWait: which record
  cudaEvent_t event = nullptr;  // kRecordEvent: recorded at each launch, for others to see
};

struct Capture {
  CUstream_st* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  unsigned long long id = 0;
  bool open = true, broken = false;
  std::vector<CUstream_st*> lanes;
  std::vector<Clock> known;  // by lane: how many nodes of each lane come before what follows on it
  std::vector<Node> nodes;
  size_t marks = 0;

  size_t lane_of(const CUstream_st* stream) const;
  void add(const CUstream_st* stream, Node node);
};

// All with runtime_mutex() held.
// Ends a capture that broke a rule; returns the error for its caller.
cudaError_t break_capture(Capture& capture, const std::string& what, cudaError_t error);
// An error where a capture forbids this thread a call; the default stream is forbidden as well.
cudaError_t forbid(const char* function);
// Keeps the operation if the stream is being captured: the answer to give. Else nothing.
std::optional<cudaError_t> keep_if_captured(CUstream_st& stream, const std::string& what,
                                            const Operation& operation);
// What a wait or a record means where a capture is concerned: the answer, or nothing where none is.
std::optional<cudaError_t> wait_in_capture(CUstream_st& stream, CUevent_st& event);
std::optional<cudaError_t> record_in_capture(CUstream_st& stream, CUevent_st& event,
                                             unsigned flags);
// An error and a fault for a question about an event that was last recorded in a capture.
cudaError_t refuse_captured(const CUevent_st& event, const char* function);

}  // namespace ab::standin
