#include "distributed/device_communicator.h"

#include <algorithm>
#include <vector>

namespace ab {
namespace {

// The tensor's way back from host memory.
class StagedPending : public Pending {
 public:
  StagedPending(Device& device, const CollectiveCall& call, std::vector<char> copy)
      : device_(device), call_(call), copy_(std::move(copy)) {}

  // What travels: the copy, in place of the tensor.
  CollectiveCall on_host() {
    CollectiveCall call = call_;
    call.values = copy_.data();
    call.stream = Stream();
    return call;
  }
  void set_below(std::unique_ptr<Pending> below) { below_ = std::move(below); }

  void wait() override {
    if (!below_) return;
    below_->wait();
    below_.reset();
    device_.runtime().copy_to_device(call_.stream, DevicePtr(call_.values), copy_.data(),
                                     copy_.size());
  }

 private:
  Device& device_;
  CollectiveCall call_;
  std::vector<char> copy_;
  std::unique_ptr<Pending> below_;  // gone before the copy that it writes to
};

}  // namespace

DeviceCommunicator::DeviceCommunicator(Communicator& below, Device& device)
    : Communicator(below.name(), below.rank(), below.nodes(), ledger_of(below)),
      below_(below),
      device_(device) {}

DeviceCommunicator::DeviceCommunicator(std::unique_ptr<Communicator> below, Device& device)
    : Communicator(below->name(), below->rank(), below->nodes(), ledger_of(*below)),
      own_(std::move(below)),
      below_(*own_),
      device_(device) {}

bool DeviceCommunicator::all_differ(Communicator& world, uint64_t mine) {
  std::vector<uint64_t> all(static_cast<size_t>(world.size()));
  CollectiveCall call;
  call.collective = Collective::kAllGather;
  call.purpose = Purpose::kHash;
  call.elements = 1;
  call.dtype = DType::kInt64;
  call.values = all.data();
  call.mine = &mine;
  run_unbooked(world, call)->wait();
  std::sort(all.begin(), all.end());
  return std::adjacent_find(all.begin(), all.end()) == all.end();
}

std::unique_ptr<Pending> DeviceCommunicator::run(const CollectiveCall& call) {
  if (call.stream.device == DeviceKind::kCuda) return run_on_device(call);
  return run_unbooked(below_, call);
}

std::unique_ptr<Pending> StagedCommunicator::run_on_device(const CollectiveCall& call) {
  std::vector<char> copy(static_cast<size_t>(call.elements) * size_of(call.dtype));
  device().runtime().copy_to_host(call.stream, copy.data(), DevicePtr(call.values), copy.size());
  auto pending = std::make_unique<StagedPending>(device(), call, std::move(copy));
  pending->set_below(run_unbooked(below(), pending->on_host()));
  return pending;
}

std::unique_ptr<Communicator> StagedCommunicator::run_split(int color, const std::string& name) {
  return std::make_unique<StagedCommunicator>(below().split(color, name), device());
}

}  // namespace ab
