// cuDNN's backend interface: descriptors that hold attributes, are finalized once and are read-only
// from then on. dnn_descriptors.cpp keeps them by one table of attributes; dnn_graph.cpp makes a
// checked DnnGraph of a finalized operation graph; dnn_run.cpp holds the engines and their
// arithmetic; dnn_execute.cpp runs a plan on a pack of pointers.
#pragma once
#include <cudnn.h>

#include <memory>

#include "tests/standin/handles.h"
#include "tests/standin/streams.h"

namespace ab::standin {

struct DnnHandle {
  int device = 0;
  cudaStream_t stream = nullptr;
};
Handles<DnnHandle>& dnn_handles();

struct DnnBody;
struct DnnValue {
  cudnnBackendAttributeType_t type = CUDNN_TYPE_INT64;
  std::vector<char> bytes;
  std::vector<std::shared_ptr<DnnBody>> bodies;  // of descriptors, instead of bytes
};

// What a descriptor says; other descriptors share it when they refer to it.
struct DnnBody {
  cudnnBackendDescriptorType_t type = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
  bool finalized = false;
  std::map<cudnnBackendAttributeName_t, DnnValue> values;

  bool has(cudnnBackendAttributeName_t name) const { return values.count(name) > 0; }
  std::shared_ptr<DnnBody> body(cudnnBackendAttributeName_t name) const {
    return values.at(name).bodies.at(0);
  }
  template <class T>
  std::vector<T> list(cudnnBackendAttributeName_t name) const {
    const auto found = values.find(name);
    if (found == values.end()) return {};
    const T* const first = reinterpret_cast<const T*>(found->second.bytes.data());
    return std::vector<T>(first, first + found->second.bytes.size() / sizeof(T));
  }
  template <class T>
  T one(cudnnBackendAttributeName_t name, T otherwise = {}) const {
    const std::vector<T> values = list<T>(name);
    return values.empty() ? otherwise : values[0];
  }
  template <class T>
  void put(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t as,
           const std::vector<T>& items) {
    const char* const first = reinterpret_cast<const char*>(items.data());
    values[name] = {as, {first, first + items.size() * sizeof(T)}, {}};
  }
};

struct DnnDescriptor {
  std::shared_ptr<DnnBody> body = std::make_shared<DnnBody>();
};
Handles<DnnDescriptor>& dnn_descriptors();

cudnnStatus_t dnn_fault(cudnnStatus_t status, const std::string& what);

// A tensor (n, c, h, w) by dimensions and strides.
struct DnnTensor {
  int64_t uid = 0, alignment = 16;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  bool is_virtual = false;
  std::vector<int64_t> dims, strides;

  int64_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  size_t element() const { return type == CUDNN_DATA_BFLOAT16 ? 2 : 4; }
  size_t bytes() const;
};

struct DnnOperation {
  enum Kind { kForward, kData, kFilter, kAdd, kRelu } kind = kForward;
  int64_t x = 0, w = 0, y = 0;  // uids; pointwise: x, w (the other addend), y
  int64_t padding[2] = {}, stride[2] = {};
};

struct DnnGraph {
  std::map<int64_t, DnnTensor> tensors;
  std::vector<DnnOperation> operations;  // in the order of their data

  bool fused() const { return operations.size() > 1; }
  const DnnTensor& tensor(int64_t uid) const { return tensors.at(uid); }
  bool bf16() const;       // the operands of the convolution
  int64_t result() const;  // the uid of what is written
};

// Fills `graph` from a body of OPERATIONGRAPH; a fault and BAD_PARAM for what the documentation
// forbids, NOT_SUPPORTED for what this stand-in leaves out.
cudnnStatus_t make_graph(const DnnBody& body, DnnGraph& graph);

// Engines: 0 plain, 1 with workspace, 2 on tensor cores (TF32 for fp32; a filter's gradient is
// summed in no fixed order). What they are for is told by their numerical notes.
std::vector<int64_t> dnn_engines(const DnnGraph& graph, bool fallback);
std::vector<cudnnBackendNumericalNote_t> dnn_notes(const DnnGraph& graph, int64_t engine);
size_t dnn_workspace(const DnnGraph& graph, int64_t engine);
bool dnn_supports(const DnnGraph& graph, int64_t engine);

// Runs the operations on real addresses.
void dnn_compute(const DnnGraph& graph, int64_t engine, const std::map<int64_t, void*>& memory);

}  // namespace ab::standin
