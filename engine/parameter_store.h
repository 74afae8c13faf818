// ParameterStore: all parameters of a model in flat buffers, in registration order.
//
//   values     fp32 master weights   [ trainable ... | frozen ... ]
//   gradients  fp32                  [ trainable ... ]
//   buffers    fp32, not trained: batch-norm running statistics
//
// One optimiser launch covers the trainable part, a bucket is a slice, a checkpoint is names and
// offsets. A factored weight registers three parameters (W, A, B), of which W or A and B are
// present. The layout changes only in layout(), which a phase border calls.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace ab {

// What a parameter is; decides whether its matrix may be factored (method.md section 3).
enum class Role : uint8_t { kWeight, kStem, kClassifier, kEmbedding, kNorm, kBias };

struct Parameter {
  std::string name;
  Shape shape;
  Role role = Role::kWeight;
  bool present = true;    // takes part in the layout
  bool trainable = true;  // has a gradient and moments
  Tensor value;           // fp32 master, view into the flat values
  Tensor compute;         // what forward and backward read: value, or its bf16 copy
  Tensor gradient;        // fp32, view into the flat gradients; empty when frozen
  int64_t value_offset = -1, gradient_offset = -1;  // in elements
  int pending_uses = 0;           // consumers of this step whose backward has not run yet (tape)
  bool gradient_written = false;  // this step's first writer overwrites, later ones add (tape)
};

// Of a bias, which may be absent: null.
inline bool trains(const Parameter* bias) {
  return bias != nullptr && bias->trainable;
}

// A parameter's place among the trainable elements before and after a layout change.
struct Move {
  const Parameter* parameter;
  int64_t from, to;
};

class ParameterStore {
 public:
  ParameterStore(Device& device, DType compute) : device_(device), compute_dtype_(compute) {}
  ParameterStore(const ParameterStore&) = delete;

  // The reference stays valid for the store's life. No memory is taken before layout().
  Parameter& add(const std::string& name, const Shape& shape, Role role);
  // A statistic that is averaged but not trained.
  Parameter& add_buffer(const std::string& name, const Shape& shape);

  // Places every present parameter, keeps the values of those that were present before with the
  // same shape, and returns the moves of trainable ones (new ones are left out: they have no past).
  std::vector<Move> layout();
  // Refreshes the bf16 copies after an update; nothing to do in fp32.
  void refresh_compute(Stream stream);

  std::deque<Parameter>& parameters() { return parameters_; }
  const std::deque<Parameter>& parameters() const { return parameters_; }
  std::deque<Parameter>& buffers() { return buffers_; }
  Parameter* find(const std::string& name);  // parameters, then buffers; null when absent

  Tensor values() const { return values_; }        // all present, trainable first
  Tensor gradients() const { return gradients_; }  // trainable
  Tensor buffer_values() const { return buffer_values_; }
  int64_t trainable_elements() const { return gradients_.elements(); }
  Device& device() const { return device_; }
  DType compute_dtype() const { return compute_dtype_; }

 private:
  void lay_out_buffers();

  Device& device_;
  DType compute_dtype_;
  std::deque<Parameter> parameters_, buffers_;
  Buffer value_memory_, gradient_memory_, compute_memory_, buffer_memory_;
  Tensor values_, gradients_, buffer_values_;
};

}  // namespace ab
