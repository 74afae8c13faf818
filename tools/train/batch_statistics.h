// BatchStatistics: synchronised batch norm over a communicator (world or group, method.md section
// 5).
#pragma once
#include "distributed/tensor_collectives.h"
#include "engine/context.h"

namespace ab {

class BatchStatistics : public ReplicaSum {
 public:
  explicit BatchStatistics(Communicator& communicator) : communicator_(communicator) {}
  int replicas() const override { return communicator_.size(); }
  void sum(Stream stream, DevicePtr values, int64_t count) override {
    all_reduce(stream, communicator_, Purpose::kBatchNorm,
               Tensor(values, {count}, DType::kFloat32));
  }

 private:
  Communicator& communicator_;
};

}  // namespace ab
