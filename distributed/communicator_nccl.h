// Communicator over NCCL for ranks that have a GPU each.
//   The unique id travels over the communicator below (MPI, or threads of one process). NCCL's
//   communicators are non-blocking and carry our names; groups come from ncclCommSplit. Collectives
//   run on the device's communication queue, in the order in which they were started, after the
//   work that the tensor's stream held; wait() lets that stream go on after them and does not block
//   the host. What goes wrong meanwhile is noticed by the runtime's watch, wherever the host waits
//   for the GPU: NCCL's asynchronous errors, an aborted partner, and the time limit.
#pragma once
#include <nccl.h>

#include <memory>
#include <string>
#include <vector>

#include "distributed/device_communicator.h"

namespace ab {

// What the NCCL communicators of one rank share.
class NcclRank {
 public:
  NcclRank(Communicator& world, Device& device, double timeout_s);
  ~NcclRank();
  NcclRank(const NcclRank&) = delete;

  Device& device() const { return device_; }
  // A rank's part of the world's communicator, and of one split from another.
  ncclComm_t open(const ncclUniqueId& id, const std::string& name);
  ncclComm_t split(ncclComm_t parent, int color, const std::string& name);
  void close(ncclComm_t comm);
  // Waits until NCCL has taken in a call that answered `answer`; throws what it failed with.
  void settle(ncclComm_t comm, ncclResult_t answer, const std::string& what);
  // A collective is about to start. Throws after an abort, of this rank or of a partner.
  void begin(std::string what);
  // Ends what the communicators have under way, so that queues drain. Later calls throw.
  void abort();

 private:
  void watch(double waited_s);
  void check_time(double waited_s, const std::string& what);
  [[noreturn]] void fail(ncclComm_t comm, ncclResult_t result, const std::string& what);
  std::string who() const;

  Communicator& world_;
  Device& device_;
  double timeout_s_;
  std::vector<ncclComm_t> open_;
  std::string last_ = "no collective yet";
  bool aborted_ = false;
  int unwinding_;
};

class NcclCommunicator : public DeviceCommunicator {
 public:
  NcclCommunicator(Communicator& below, std::shared_ptr<NcclRank> rank, ncclComm_t comm)
      : DeviceCommunicator(below, rank->device()), rank_(std::move(rank)), comm_(comm) {}
  NcclCommunicator(std::unique_ptr<Communicator> below, std::shared_ptr<NcclRank> rank,
                   ncclComm_t comm)
      : DeviceCommunicator(std::move(below), rank->device()), rank_(std::move(rank)), comm_(comm) {}
  ~NcclCommunicator() override { rank_->close(comm_); }

  // Ranks of `world`, made by rank 0's unique id.
  static std::unique_ptr<Communicator> make_world(Communicator& world, Device& device,
                                                  const CommunicatorOptions& options);
  void abort(int exit_code, const std::string& reason) override;

 private:
  std::unique_ptr<Pending> run_on_device(const CollectiveCall& call) override;
  std::unique_ptr<Communicator> run_split(int color, const std::string& name) override;

  std::shared_ptr<NcclRank> rank_;
  ncclComm_t comm_;
};

}  // namespace ab
