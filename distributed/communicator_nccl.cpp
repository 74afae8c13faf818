#include "distributed/communicator_nccl.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/error.h"

namespace ab {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Rings are what the ledger's formula describes, and their sums have one order.
void prefer_rings() {
  static std::once_flag once;
  std::call_once(once, [] { setenv("NCCL_ALGO", "Ring", 0); });
}

ncclConfig_t config_of(const std::string& name) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.commName = name.c_str();
  return config;
}

ncclDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return ncclFloat32;
    case DType::kBFloat16:
      return ncclBfloat16;
    case DType::kFloat64:
      return ncclFloat64;
    case DType::kInt32:
      return ncclInt32;
    case DType::kInt64:
      return ncclInt64;
    case DType::kUint8:
      break;
  }
  return ncclUint8;
}

// The stream that gave the tensor goes on after all that the communication queue holds.
class NcclPending : public Pending {
 public:
  NcclPending(Runtime& runtime, Stream stream) : runtime_(runtime), stream_(stream) {}
  // Given up: the memory is released in the stream's order, which must still come after.
  ~NcclPending() override {
    try {
      wait();
    } catch (const std::exception&) {
      // The runtime is beyond order; whatever broke it is under way already.
    }
  }
  void wait() override {
    if (std::exchange(waited_, true)) return;
    runtime_.wait_for(stream_, runtime_.queue(Queue::kCommunication));
  }

 private:
  Runtime& runtime_;
  Stream stream_;
  bool waited_ = false;
};

}  // namespace

NcclRank::NcclRank(Communicator& world, Device& device, double timeout_s)
    : world_(world),
      device_(device),
      timeout_s_(timeout_s),
      unwinding_(std::uncaught_exceptions()) {
  prefer_rings();
  device_.runtime().set_watch([this](double waited_s) { watch(waited_s); });
}

NcclRank::~NcclRank() {
  device_.runtime().set_watch(nullptr);
}

std::string NcclRank::who() const {
  return "rank " + std::to_string(world_.rank()) + " of " + std::to_string(world_.size()) + ": ";
}

void NcclRank::fail(ncclComm_t comm, ncclResult_t result, const std::string& what) {
  const char* detail = comm ? ncclGetLastError(comm) : nullptr;
  std::string text = who() + what + " failed: " + ncclGetErrorString(result);
  if (detail && *detail) text += std::string(" (") + detail + ")";
  abort();
  throw CommunicationError(text);
}

void NcclRank::check_time(double waited_s, const std::string& what) {
  if (timeout_s_ <= 0.0 || waited_s < timeout_s_) return;
  abort();
  throw CommunicationError(who() + what + " did not finish within " + std::to_string(timeout_s_) +
                           " s (comm.timeout_s): a rank is lost, stuck or much slower");
}

void NcclRank::begin(std::string what) {
  world_.check_partners();
  if (aborted_) throw CommunicationError(who() + what + ": NCCL was ended before, after " + last_);
  last_ = std::move(what);
}

// An aborted partner never joins: what waits for it on the GPU must be ended before this throws.
void NcclRank::watch(double waited_s) {
  if (aborted_) return;
  try {
    world_.check_partners();
  } catch (...) {
    abort();
    throw;
  }
  for (ncclComm_t comm : open_) {
    ncclResult_t state = ncclSuccess;
    const ncclResult_t answer = ncclCommGetAsyncError(comm, &state);
    if (answer != ncclSuccess) fail(comm, answer, "ncclCommGetAsyncError");
    if (state != ncclSuccess && state != ncclInProgress) fail(comm, state, last_);
  }
  check_time(waited_s, "the GPU's work up to " + last_);
}

void NcclRank::settle(ncclComm_t comm, ncclResult_t answer, const std::string& what) {
  const auto start = Clock::now();
  ncclResult_t state = answer;
  while (state == ncclInProgress) {
    if (const ncclResult_t asked = ncclCommGetAsyncError(comm, &state); asked != ncclSuccess)
      fail(comm, asked, "ncclCommGetAsyncError");
    if (state != ncclInProgress) break;
    try {
      world_.check_partners();
    } catch (...) {
      abort();
      throw;
    }
    check_time(seconds_since(start), what);
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  if (state != ncclSuccess) fail(comm, state, what);
}

ncclComm_t NcclRank::open(const ncclUniqueId& id, const std::string& name) {
  ncclConfig_t config = config_of(name);
  ncclComm_t comm = nullptr;
  const ncclResult_t answer =
      ncclCommInitRankConfig(&comm, world_.size(), id, world_.rank(), &config);
  if (!comm) fail(nullptr, answer, "ncclCommInitRankConfig of " + name);
  open_.push_back(comm);
  settle(comm, answer, "ncclCommInitRankConfig of " + name);
  return comm;
}

// The child's handle is there when the parent has taken the split in.
ncclComm_t NcclRank::split(ncclComm_t parent, int color, const std::string& name) {
  ncclConfig_t config = config_of(name);
  ncclComm_t comm = nullptr;
  const std::string what = "ncclCommSplit into " + name;
  settle(parent, ncclCommSplit(parent, color, world_.rank(), &comm, &config), what);
  if (!comm) fail(parent, ncclInternalError, what);
  open_.push_back(comm);
  ncclResult_t state = ncclSuccess;
  if (const ncclResult_t asked = ncclCommGetAsyncError(comm, &state); asked != ncclSuccess)
    fail(comm, asked, what);
  settle(comm, state, what);
  return comm;
}

// In an orderly end every rank comes here; while an exception unwinds, the others may not.
void NcclRank::close(ncclComm_t comm) {
  const auto at = std::find(open_.begin(), open_.end(), comm);
  if (at == open_.end()) return;
  if (std::uncaught_exceptions() > unwinding_) return abort();
  try {
    settle(comm, ncclCommFinalize(comm), "ncclCommFinalize");
    open_.erase(at);
    (void)ncclCommDestroy(comm);
  } catch (const std::exception&) {
    abort();  // settle() has done so; nothing may leave a destructor
  }
}

void NcclRank::abort() {
  aborted_ = true;
  for (ncclComm_t comm : std::exchange(open_, {})) (void)ncclCommAbort(comm);
}

std::unique_ptr<Communicator> NcclCommunicator::make_world(Communicator& world, Device& device,
                                                           const CommunicatorOptions& options) {
  auto rank = std::make_shared<NcclRank>(world, device, options.timeout_s);
  ncclUniqueId id{};
  if (world.rank() == 0)
    if (const ncclResult_t answer = ncclGetUniqueId(&id); answer != ncclSuccess)
      throw CommunicationError(std::string("ncclGetUniqueId failed: ") +
                               ncclGetErrorString(answer));
  CollectiveCall call;
  call.collective = Collective::kBroadcast;
  call.purpose = Purpose::kHash;
  call.elements = sizeof id.internal;
  call.dtype = DType::kUint8;
  call.values = id.internal;
  run_unbooked(world, call)->wait();
  ncclComm_t comm = rank->open(id, world.name());
  return std::make_unique<NcclCommunicator>(world, std::move(rank), comm);
}

void NcclCommunicator::abort(int exit_code, const std::string& reason) {
  rank_->abort();
  DeviceCommunicator::abort(exit_code, reason);
}

std::unique_ptr<Pending> NcclCommunicator::run_on_device(const CollectiveCall& call) {
  Runtime& runtime = device().runtime();
  const Stream queue = runtime.queue(Queue::kCommunication);
  const std::string what = "communicator " + name() + ": " + text_of(call);
  rank_->begin(what);
  runtime.wait_for(queue, call.stream);
  const auto count = static_cast<size_t>(call.elements);
  const auto stream = static_cast<cudaStream_t>(queue.handle);
  ncclResult_t answer = ncclSuccess;
  if (call.collective == Collective::kAllReduce)
    answer =
        ncclAllReduce(call.values, call.values, count, type_of(call.dtype), ncclSum, comm_, stream);
  else
    answer = ncclBroadcast(call.values, call.values, count, type_of(call.dtype), call.root, comm_,
                           stream);
  rank_->settle(comm_, answer, what);
  return std::make_unique<NcclPending>(runtime, call.stream);
}

std::unique_ptr<Communicator> NcclCommunicator::run_split(int color, const std::string& name) {
  ncclComm_t comm = rank_->split(comm_, color, name);
  return std::make_unique<NcclCommunicator>(below().split(color, name), rank_, comm);
}

}  // namespace ab
