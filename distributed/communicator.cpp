// The public half of every collective: check, book, run. Backends see checked calls of two ranks or
// more; one rank alone is finished here.
#include "distributed/communicator.h"

#include <cstring>

#include "distributed/ring_plan.h"
#include "distributed/traffic.h"
#include "engine/error.h"

namespace ab {
namespace {

class Finished : public Pending {
 public:
  void wait() override {}
};

[[noreturn]] void refuse(const Communicator& communicator, const CollectiveCall& call,
                         const std::string& why) {
  throw CommunicationError("rank " + std::to_string(communicator.rank()) + ", communicator " +
                           communicator.name() + ": " + text_of(call) + ": " + why);
}

void check(const Communicator& communicator, const CollectiveCall& call) {
  if (call.elements < 0) refuse(communicator, call, "the count must not be negative");
  if (call.collective == Collective::kAllReduce && !can_sum(call.dtype))
    refuse(communicator, call, "only fp32, bf16, fp64 and int64 are summed");
  if (call.root < 0 || call.root >= communicator.size())
    refuse(communicator, call,
           "root " + std::to_string(call.root) + " is not a rank; ranks are 0 to " +
               std::to_string(communicator.size() - 1));
  const bool gather = call.collective == Collective::kAllGather;
  if (call.elements > 0 && (!call.values || (gather && !call.mine)))
    refuse(communicator, call, "null address");
  if (gather && call.stream.device == DeviceKind::kCuda)
    refuse(communicator, call, "all-gathers are over host memory alone");
}

}  // namespace

std::string text_of(const CollectiveCall& call) {
  std::string text = std::string(name_of(call.collective)) + " of " +
                     std::to_string(call.elements) + " " + name_of(call.dtype) + " for " +
                     name_of(call.purpose) + " in phase " + name_of(call.phase);
  if (call.collective == Collective::kBroadcast) text += " from root " + std::to_string(call.root);
  if (call.step > 0) text += ", step " + std::to_string(call.step);
  return text;
}

std::unique_ptr<Pending> Communicator::book_and_run(CollectiveCall call) {
  call.step = ledger_->step();
  check(*this, call);
  if (!reaches(call.stream.device))
    refuse(*this, call,
           "it does not reach the memory of a GPU; device_world() makes one that does");
  ledger_->book(name_, call.collective, call.purpose, call.dtype,
                cost_of(call.collective, call.elements, call.dtype, rank_, call.root, nodes_));
  if (size() > 1) return run(call);
  if (call.collective == Collective::kAllGather && call.elements > 0)
    std::memmove(call.values, call.mine, call.elements * size_of(call.dtype));
  return std::make_unique<Finished>();
}

std::unique_ptr<Pending> Communicator::start_all_reduce(Purpose purpose, void* values,
                                                        int64_t elements, DType dtype) {
  return start_all_reduce(purpose, Stream(), DevicePtr(values), elements, dtype);
}

std::unique_ptr<Pending> Communicator::start_all_reduce(Purpose purpose, Stream stream,
                                                        DevicePtr values, int64_t elements,
                                                        DType dtype) {
  return book_and_run({Collective::kAllReduce, purpose, ledger_->phase(), elements, dtype, 0,
                       values.as<void>(), nullptr, stream});
}

void Communicator::all_reduce(Purpose purpose, void* values, int64_t elements, DType dtype) {
  start_all_reduce(purpose, values, elements, dtype)->wait();
}

void Communicator::broadcast(Purpose purpose, void* values, int64_t elements, DType dtype,
                             int root) {
  broadcast(purpose, Stream(), DevicePtr(values), elements, dtype, root);
}

void Communicator::broadcast(Purpose purpose, Stream stream, DevicePtr values, int64_t elements,
                             DType dtype, int root) {
  book_and_run({Collective::kBroadcast, purpose, ledger_->phase(), elements, dtype, root,
                values.as<void>(), nullptr, stream})
      ->wait();
}

void Communicator::all_gather(Purpose purpose, const void* mine, void* all, int64_t elements,
                              DType dtype) {
  book_and_run(
      {Collective::kAllGather, purpose, ledger_->phase(), elements, dtype, 0, all, mine, Stream()})
      ->wait();
}

std::vector<int64_t> Communicator::all_gather(Purpose purpose, const std::vector<int64_t>& mine) {
  std::vector<int64_t> all(mine.size() * static_cast<size_t>(size()));
  all_gather(purpose, mine.data(), all.data(), static_cast<int64_t>(mine.size()), DType::kInt64);
  return all;
}

std::unique_ptr<Communicator> Communicator::split(int color, const std::string& name) {
  if (color < 0)
    throw CommunicationError("split of communicator " + name_ + " into " + name + ": color " +
                             std::to_string(color) + "; colors are 0 or more");
  return run_split(color, name);
}

bool Communicator::agree(bool mine) {
  if (size() == 1) return mine;
  int64_t votes = mine ? 1 : 0;
  CollectiveCall call;
  call.purpose = Purpose::kHash;
  call.phase = ledger_->phase();
  call.step = ledger_->step();
  call.elements = 1;
  call.dtype = DType::kInt64;
  call.values = &votes;
  run(call)->wait();
  return votes == size();
}

}  // namespace ab
