// The registry of communicators that reach a device's memory: the one file here that knows whether
// this build has NCCL.
#include "distributed/device_communicator.h"
#if AB_WITH_CUDA
#include "distributed/communicator_nccl.h"
#endif

namespace ab {
std::unique_ptr<Communicator> device_world(Communicator& world, Device& device,
                                           [[maybe_unused]] const CommunicatorOptions& options) {
  if (device.kind() != DeviceKind::kCuda) return nullptr;
#if AB_WITH_CUDA
  if (world.size() > 1 && DeviceCommunicator::all_differ(world, device.identity()))
    return NcclCommunicator::make_world(world, device, options);
#endif
  return std::make_unique<StagedCommunicator>(world, device);
}

}  // namespace ab
