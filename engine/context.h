// Context: what a forward pass carries through the layers besides the tensors.
#pragma once
#include <functional>
#include <string>

#include "engine/tape.h"
#include "kernels/philox.h"

namespace ab {

// Sums small vectors over the ranks that share batch statistics (synchronised batch norm).
class ReplicaSum {
 public:
  virtual ~ReplicaSum() = default;
  virtual int replicas() const = 0;
  // values (count) fp32 on the device: replaced by their sum over the replicas.
  virtual void sum(Stream stream, DevicePtr values, int64_t count) = 0;
};

struct Context {
  Context(Device& on, Arena& memory) : device(on), arena(memory), stream(on.stream()) {}

  Device& device;
  Arena& arena;
  Stream stream;
  Tape* tape = nullptr;              // null: inference, nothing is recorded
  bool training = false;             // dropout, drop path and batch statistics are on
  DType dtype = DType::kFloat32;     // of activations
  ReplicaSum* statistics = nullptr;  // null: batch statistics of this rank alone
  // Random numbers of this step: random.stream is advanced by every operation that draws (draw).
  RandomKey random;
  DevicePtr random_origin;   // one uint64 that the streams count from; null: from 0
  int64_t first_sample = 0;  // this rank's first sample in the global batch
  // Called after each layer with its name and output; finds the first layer that is not finite.
  std::function<void(const std::string&, const Tensor&)> inspect;

  Tensor make(const Shape& shape) { return Tensor(arena, shape, dtype); }
  Tensor make(const Shape& shape, DType type) { return Tensor(arena, shape, type); }
  // True when backward will want a gradient for this tensor.
  bool wants(const Tensor& x) const { return tape && x.slot >= 0; }
  RandomKey draw() { return {random.seed, random.stream++}; }
  void visit(const std::string& layer, const Tensor& output) const {
    if (inspect) inspect(layer, output);
  }
};

}  // namespace ab
