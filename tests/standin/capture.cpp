// Capture and launch (capture.h).
#include "tests/standin/capture.h"

#include <algorithm>

#include "tests/standin/handles.h"
#include "tests/standin/standin.h"

// The vendor's handle types, ours to define.
struct CUgraph_st {
  int device = 0;
  std::vector<std::string> lanes;  // names of the streams that took part
  std::vector<ab::standin::Node> nodes;
  size_t marks = 0;
};
struct CUgraphExec_st {
  CUgraph_st graph;
  std::vector<CUstream_st*> lanes;
};

namespace ab::standin {
namespace {

struct Captures {
  std::vector<std::shared_ptr<Capture>> open;
  unsigned long long made = 0;
  Handles<CUgraph_st> graphs{"a graph"};
  Handles<CUgraphExec_st> executables{"an executable graph"};
};

Captures& captures() {
  static auto* const all = new Captures;
  return *all;
}

std::shared_ptr<Capture> shared(const Capture& capture) {
  for (const auto& open : captures().open)
    if (open.get() == &capture) return open;
  return nullptr;
}

void join(Capture& capture, CUstream_st* stream) {
  stream->capture = &capture;
  capture.lanes.push_back(stream);
  capture.known.emplace_back();
}

void close(Capture& capture) {
  for (CUstream_st* lane : capture.lanes) lane->capture = nullptr;
  capture.open = false;
  std::erase_if(captures().open, [&](const auto& open) { return open.get() == &capture; });
}

// Nodes of a stream that the origin does not wait for.
const CUstream_st* unjoined(const Capture& capture) {
  for (size_t lane = 0; lane < capture.lanes.size(); ++lane)
    if (capture.known[0].at(lane) < capture.known[lane].at(lane)) return capture.lanes[lane];
  return nullptr;
}

cudaError_t finish(Capture& capture, CUstream_st* stream, cudaGraph_t* graph) {
  if (capture.mode != cudaStreamCaptureModeRelaxed && capture.thread != std::this_thread::get_id())
    return break_capture(capture, "cudaStreamEndCapture: begun by another thread",
                         cudaErrorStreamCaptureWrongThread);
  if (capture.origin != stream)
    return break_capture(capture, "cudaStreamEndCapture: the capture began on another stream",
                         cudaErrorStreamCaptureUnmatched);
  if (capture.broken) return cudaErrorStreamCaptureInvalidated;
  if (const CUstream_st* const fork = unjoined(capture))
    return break_capture(capture,
                         "cudaStreamEndCapture: the work of " + fork->name + " was not joined to " +
                             stream->name + ", where the capture began",
                         cudaErrorStreamCaptureUnjoined);
  *graph = captures().graphs.create();
  (*graph)->device = stream->device;
  for (const CUstream_st* lane : capture.lanes) (*graph)->lanes.push_back(lane->name);
  (*graph)->nodes = std::move(capture.nodes);
  (*graph)->marks = capture.marks;
  return cudaSuccess;
}

// Where a lane stands at a mark.
struct Mark {
  Clock clock;
  double busy = 0.0;
};

void catch_up(CUstream_st& stream, const Mark& mark) {
  stream.clock.join(mark.clock);
  stream.busy = std::max(stream.busy, mark.busy);
}

cudaError_t run_node(const Node& node, CUstream_st* lane, std::vector<Mark>& marks) {
  if (node.kind == Node::kRun) return node.run(lane);
  std::lock_guard lock(runtime_mutex());
  if (node.kind == Node::kRecord) {
    marks[node.mark] = {lane->clock, lane->busy};
    return cudaSuccess;
  }
  if (node.kind == Node::kWait) {
    catch_up(*lane, marks[node.mark]);
    return cudaSuccess;
  }
  CUevent_st* const event = find_event(node.event, "cudaGraphLaunch");
  if (!event) return cudaErrorInvalidResourceHandle;
  record_now(*lane, *event);
  return cudaSuccess;
}

}  // namespace

size_t Capture::lane_of(const CUstream_st* stream) const {
  return static_cast<size_t>(std::find(lanes.begin(), lanes.end(), stream) - lanes.begin());
}

void Capture::add(const CUstream_st* stream, Node node) {
  node.lane = lane_of(stream);
  if (node.kind != Node::kRecord && node.kind != Node::kWait) known[node.lane].tick(node.lane);
  nodes.push_back(std::move(node));
}

cudaError_t break_capture(Capture& capture, const std::string& what, cudaError_t error) {
  if (!capture.broken) report(what);
  capture.broken = true;
  return error;
}

cudaError_t forbid(const char* function) {
  for (const auto& capture : captures().open) {
    const bool mine = capture->mode == cudaStreamCaptureModeThreadLocal &&
                      capture->thread == std::this_thread::get_id();
    if (mine || capture->mode == cudaStreamCaptureModeGlobal)
      return break_capture(
          *capture,
          std::string(function) + " while " + capture->origin->name + " is being captured",
          cudaErrorStreamCaptureUnsupported);
  }
  return cudaSuccess;
}

std::optional<cudaError_t> keep_if_captured(CUstream_st& stream, const std::string& what,
                                            const Operation& operation) {
  if (!stream.capture) return std::nullopt;
  if (stream.capture->broken) return cudaErrorStreamCaptureInvalidated;
  if (!operation)
    return break_capture(*stream.capture, what + " cannot be captured",
                         cudaErrorStreamCaptureUnsupported);
  stream.capture->add(&stream, {.kind = Node::kRun, .run = operation});
  return cudaSuccess;
}

std::optional<cudaError_t> record_in_capture(CUstream_st& stream, CUevent_st& event,
                                             unsigned flags) {
  Capture* const capture = stream.capture;
  if (!capture) {
    event.captured.reset();
    if (flags == cudaEventRecordDefault) return std::nullopt;
    report("cudaEventRecordWithFlags: an external record outside a capture");
    return cudaErrorInvalidValue;
  }
  if (capture->broken) return cudaErrorStreamCaptureInvalidated;
  if (flags == cudaEventRecordExternal) {
    capture->add(&stream, {.kind = Node::kRecordEvent, .event = &event});
    return cudaSuccess;
  }
  event.captured = shared(*capture);
  event.mark = capture->marks++;
  event.known = capture->known[capture->lane_of(&stream)];
  capture->add(&stream, {.kind = Node::kRecord, .mark = event.mark});
  return cudaSuccess;
}

std::optional<cudaError_t> wait_in_capture(CUstream_st& stream, CUevent_st& event) {
  Capture* const from = event.captured.get();
  Capture* const here = stream.capture;
  if (!from && !here) return std::nullopt;
  if (here && here->broken) return cudaErrorStreamCaptureInvalidated;
  if (!from)
    return break_capture(*here,
                         "cudaStreamWaitEvent: " + stream.name +
                             " is being captured, the event was recorded outside the capture",
                         cudaErrorStreamCaptureIsolation);
  if (!from->open) return refuse_captured(event, "cudaStreamWaitEvent");
  if (here && here != from) {
    break_capture(*here, "cudaStreamWaitEvent: the event belongs to another capture",
                  cudaErrorStreamCaptureMerge);
    return break_capture(*from, "a wait in another capture", cudaErrorStreamCaptureMerge);
  }
  if (!here) join(*from, &stream);
  from->known[from->lane_of(&stream)].join(event.known);
  from->add(&stream, {.kind = Node::kWait, .mark = event.mark});
  return cudaSuccess;
}

cudaError_t refuse_captured(const CUevent_st& event, const char* function) {
  if (!event.captured) return cudaSuccess;
  const std::string what = std::string(function) + ": the event was last recorded in a capture";
  if (event.captured->open) return break_capture(*event.captured, what, cudaErrorCapturedEvent);
  report(what);
  return cudaErrorCapturedEvent;
}

}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  std::lock_guard lock(runtime_mutex());
  CUstream_st* const origin = find_stream(stream, "cudaStreamBeginCapture");
  if (!origin) return cudaErrorInvalidResourceHandle;
  if (!stream || stream == cudaStreamLegacy || origin->capture) {
    report(std::string("cudaStreamBeginCapture: ") +
           (origin->capture ? "the stream is being captured already" : "on the default stream"));
    return origin->capture ? cudaErrorIllegalState : cudaErrorStreamCaptureUnsupported;
  }
  auto capture = std::make_shared<Capture>();
  capture->origin = origin;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->id = ++captures().made;
  join(*capture, origin);
  captures().open.push_back(std::move(capture));
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  std::lock_guard lock(runtime_mutex());
  CUstream_st* const found = find_stream(stream, "cudaStreamEndCapture");
  if (!found || !graph) return cudaErrorInvalidValue;
  *graph = nullptr;
  if (!found->capture) {
    report("cudaStreamEndCapture: the stream is not being captured");
    return cudaErrorIllegalState;
  }
  const std::shared_ptr<Capture> capture = shared(*found->capture);
  const cudaError_t error = finish(*capture, found, graph);
  if (error != cudaErrorStreamCaptureUnmatched && error != cudaErrorStreamCaptureWrongThread)
    close(*capture);
  return error;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return cudaStreamGetCaptureInfo(stream, status, nullptr, nullptr, nullptr, nullptr, nullptr);
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t*, const cudaGraphNode_t**,
                                     const cudaGraphEdgeData**, size_t*) {
  std::lock_guard lock(runtime_mutex());
  const CUstream_st* const found = find_stream(stream, "cudaStreamGetCaptureInfo");
  if (!found) return cudaErrorInvalidResourceHandle;
  *status = !found->capture          ? cudaStreamCaptureStatusNone
            : found->capture->broken ? cudaStreamCaptureStatusInvalidated
                                     : cudaStreamCaptureStatusActive;
  if (id && found->capture) *id = found->capture->id;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (!captures().graphs.destroy(graph, __func__)) return cudaErrorInvalidValue;
  *graph = {};
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags) {
  if (const int code = injected(__func__)) return static_cast<cudaError_t>(code);
  const CUgraph_st* const from = captures().graphs.find(graph, __func__);
  if (!executable || !from || flags != 0) return cudaErrorInvalidValue;
  *executable = captures().executables.create();
  (*executable)->graph = *from;
  std::lock_guard lock(runtime_mutex());
  for (const std::string& name : from->lanes)
    (*executable)->lanes.push_back(make_stream(from->device, false, "graph of " + name + ", "));
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  if (!captures().executables.destroy(executable, __func__)) return cudaErrorInvalidValue;
  for (CUstream_st* lane : executable->lanes) cudaStreamDestroy(lane);
  executable->graph = {};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  CUgraphExec_st* const graph = captures().executables.find(executable, __func__);
  if (!graph) return cudaErrorInvalidValue;
  if (const cudaError_t error = submit(stream, __func__, {}); error != cudaSuccess) return error;
  CUstream_st* on = nullptr;
  {
    std::lock_guard lock(runtime_mutex());
    on = find_stream(stream, __func__);
    for (CUstream_st* lane : graph->lanes) catch_up(*lane, {on->clock, on->busy});
  }
  std::vector<Mark> marks(graph->graph.marks);
  cudaError_t error = cudaSuccess;
  for (const Node& node : graph->graph.nodes)
    if (error == cudaSuccess) error = run_node(node, graph->lanes[node.lane], marks);
  std::lock_guard lock(runtime_mutex());
  for (CUstream_st* lane : graph->lanes) catch_up(*on, {lane->clock, lane->busy});
  return error;
}

}  // extern "C"
