#include "tools/train/step_graph.h"

namespace ab {
namespace {

constexpr int64_t kStepsBefore = 2;  // that run before one is recorded

}  // namespace

StepGraph::StepGraph(Replica& replica, Communicator& world, bool wanted,
                     std::function<void(const std::string&)> note)
    : replica_(replica), world_(world), wanted_(wanted), note_(std::move(note)) {}

void StepGraph::begin_phase() {
  graph_.reset();
  steps_ = 0;
}

void StepGraph::run(const DeviceBatch& batch, const std::function<void()>& work) {
  if (graph_ && !still_fits(batch)) {
    graph_.reset();
    stop_recording("the batch or its place in memory changed");
  }
  if (!graph_ && wanted_ && steps_ == kStepsBefore && record(work)) {
    count_ = batch.count();
    first_sample_ = batch.first_sample();
  }
  ++steps_;
  if (graph_)
    launch();
  else
    work();
  layouts_ = replica_.arena.layouts();
}

bool StepGraph::still_fits(const DeviceBatch& batch) const {
  return batch.count() == count_ && batch.first_sample() == first_sample_ &&
         replica_.arena.layouts() == layouts_;
}

void StepGraph::launch() {
  for (const auto& [key, entry] : booked_) world_.ledger().add(key, entry);
  graph_->launch();
  ++launches_;
}

// Whether a collective is captured must be the same on all its ranks (NCCL's user guide, "Using
// NCCL with CUDA Graphs"), so one that cannot record keeps all from it.
bool StepGraph::record(const std::function<void()>& work) {
  const Ledger before = world_.ledger();
  std::string problem;
  try {
    graph_ = replica_.device.runtime().capture(work);
    if (!graph_) wanted_ = false;
    if (!graph_) return false;
    if (replica_.arena.layouts() != layouts_) problem = "its addresses are new in every step";
  } catch (const NotCapturable& error) {
    problem = error.what();
  }
  booked_ = world_.ledger().since(before);
  world_.ledger() = before;
  if (!graph_) {  // the step stopped halfway
    replica_.tape.clear();
    replica_.arena.reset();
  }
  if (world_.agree(problem.empty())) return true;
  graph_.reset();
  stop_recording(problem.empty() ? "another rank cannot record its own" : problem);
  return false;
}

void StepGraph::stop_recording(const std::string& why) {
  wanted_ = false;
  if (note_) note_("steps run without a CUDA graph: " + why);
}

}  // namespace ab
