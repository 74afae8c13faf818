// Communicators whose tensors lie on a GPU stand on another one, local or MPI: what lies in host
// memory goes through that one as before, and its ledger books both.
//   Staged   by way of host memory: for ranks that share a GPU, and where there is no NCCL
//   Nccl     communicator_nccl.h
#pragma once
#include "distributed/communicator.h"
#include "engine/device.h"

namespace ab {

class DeviceCommunicator : public Communicator {
 public:
  void abort(int exit_code, const std::string& reason) override { below_.abort(exit_code, reason); }
  void check_partners() override { below_.check_partners(); }

  // Whether every rank passed another word. Not booked: set-up, like a split.
  static bool all_differ(Communicator& world, uint64_t mine);

 protected:
  // Stands on `below`, which somebody else keeps.
  DeviceCommunicator(Communicator& below, Device& device);
  // Stands on a communicator of its own.
  DeviceCommunicator(std::unique_ptr<Communicator> below, Device& device);

  Communicator& below() const { return below_; }
  Device& device() const { return device_; }
  virtual std::unique_ptr<Pending> run_on_device(const CollectiveCall& call) = 0;

 private:
  bool reaches(DeviceKind) const override { return true; }
  std::unique_ptr<Pending> run(const CollectiveCall& call) override;

  std::unique_ptr<Communicator> own_;
  Communicator& below_;
  Device& device_;
};

class StagedCommunicator : public DeviceCommunicator {
 public:
  StagedCommunicator(Communicator& below, Device& device) : DeviceCommunicator(below, device) {}
  StagedCommunicator(std::unique_ptr<Communicator> below, Device& device)
      : DeviceCommunicator(std::move(below), device) {}

 private:
  std::unique_ptr<Pending> run_on_device(const CollectiveCall& call) override;
  std::unique_ptr<Communicator> run_split(int color, const std::string& name) override;
};

}  // namespace ab
