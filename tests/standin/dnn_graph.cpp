// From a finalized operation graph to a DnnGraph: one convolution and what is fused behind a
// forward one. Checked as documented: four dimensions, channels last and packed, result shapes that
// follow from the operands', compute type fp32, virtual tensors only between operations.
#include <algorithm>

#include "tests/standin/dnn.h"

namespace ab::standin {
namespace {

DnnTensor tensor_of(const DnnBody& body) {
  DnnTensor t;
  t.uid = body.one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
  t.alignment = body.one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  t.type = body.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
  t.is_virtual = body.one<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL);
  t.dims = body.list<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
  t.strides = body.list<int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
  return t;
}

cudnnStatus_t bad(const std::string& what) {
  return dnn_fault(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, what);
}

cudnnStatus_t check_tensor(const DnnTensor& t) {
  const std::string name = "tensor " + std::to_string(t.uid);
  if (t.dims.size() != 4 || t.strides.size() != 4) return bad(name + " has not four dimensions");
  if (t.type != CUDNN_DATA_FLOAT && t.type != CUDNN_DATA_BFLOAT16)
    return CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
  const auto &d = t.dims, &s = t.strides;
  if (*std::min_element(d.begin(), d.end()) < 1) return bad(name + " is empty");
  if (s[1] != 1 || s[3] != d[1] || s[2] != d[3] * d[1] || s[0] != d[2] * d[3] * d[1])
    return bad(name + " is not packed with channels last");
  if (t.alignment < static_cast<int64_t>(t.element()))
    return bad(name + " is aligned to less than an element");
  return CUDNN_STATUS_SUCCESS;
}

struct Names {  // of one kind of convolution
  DnnOperation::Kind kind;
  cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
};

const Names* names_of(cudnnBackendDescriptorType_t type) {
  static const Names kForward = {DnnOperation::kForward,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
  static const Names kData = {DnnOperation::kData,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
  static const Names kFilter = {DnnOperation::kFilter,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
  switch (type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      return &kForward;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      return &kData;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
      return &kFilter;
    default:
      return nullptr;
  }
}

double scale_of(const DnnBody& body, cudnnBackendAttributeName_t name) {
  const DnnValue& value = body.values.at(name);
  return value.type == CUDNN_TYPE_DOUBLE ? body.one<double>(name) : body.one<float>(name);
}

class Reader {
 public:
  explicit Reader(DnnGraph& graph) : graph_(graph) {}

  int64_t add(const DnnBody& body) {
    const DnnTensor tensor = tensor_of(body);
    if (status == CUDNN_STATUS_SUCCESS) status = check_tensor(tensor);
    graph_.tensors[tensor.uid] = tensor;
    return tensor.uid;
  }

  void convolution(const DnnBody& body, const Names& names) {
    DnnOperation op;
    op.kind = names.kind;
    op.x = add(*body.body(names.x));
    op.w = add(*body.body(names.w));
    op.y = add(*body.body(names.y));
    const DnnBody& how = *body.body(names.convolution);
    const auto pre = how.list<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
    const auto post = how.list<int64_t>(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS);
    const auto stride = how.list<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
    const auto dilation = how.list<int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS);
    if (how.one<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) != 2 || pre.size() != 2 ||
        pre != post || stride.size() != 2 || dilation != std::vector<int64_t>{1, 1} ||
        how.one<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) !=
            CUDNN_CROSS_CORRELATION ||
        scale_of(body, names.alpha) != 1.0 || scale_of(body, names.beta) != 0.0) {
      status = CUDNN_STATUS_NOT_SUPPORTED;
      return;
    }
    if (how.one<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT)
      status = CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
    std::copy(pre.begin(), pre.end(), op.padding);
    std::copy(stride.begin(), stride.end(), op.stride);
    graph_.operations.push_back(op);
    if (status == CUDNN_STATUS_SUCCESS) status = check_shapes(op);
  }

  void pointwise(const DnnBody& body) {
    DnnOperation op;
    const auto mode = body.body(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR)
                          ->one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    op.kind = mode == CUDNN_POINTWISE_ADD ? DnnOperation::kAdd : DnnOperation::kRelu;
    if (mode != CUDNN_POINTWISE_ADD && mode != CUDNN_POINTWISE_RELU_FWD)
      status = CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
    op.x = add(*body.body(CUDNN_ATTR_OPERATION_POINTWISE_XDESC));
    op.y = add(*body.body(CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
    if (op.kind == DnnOperation::kAdd) {
      if (!body.has(CUDNN_ATTR_OPERATION_POINTWISE_BDESC)) {
        status = bad("an addition without second operand");
        return;
      }
      op.w = add(*body.body(CUDNN_ATTR_OPERATION_POINTWISE_BDESC));
      for (int i = 0; i < 4 && status == CUDNN_STATUS_SUCCESS; ++i)
        if (graph_.tensor(op.w).dims[i] != 1 &&
            graph_.tensor(op.w).dims[i] != graph_.tensor(op.x).dims[i])
          status = bad("an addend that does not broadcast");
    }
    if (status == CUDNN_STATUS_SUCCESS && graph_.tensor(op.x).dims != graph_.tensor(op.y).dims)
      status = bad("a pointwise operation that changes the shape");
    graph_.operations.push_back(op);
  }

  cudnnStatus_t status = CUDNN_STATUS_SUCCESS;

 private:
  cudnnStatus_t check_shapes(const DnnOperation& op) const {
    const auto &x = graph_.tensor(op.x).dims, &w = graph_.tensor(op.w).dims;
    const auto& y = graph_.tensor(op.y).dims;
    bool fits = x[0] == y[0] && x[1] == w[1] && y[1] == w[0];
    for (int i = 0; i < 2; ++i)
      fits = fits && y[2 + i] == (x[2 + i] + 2 * op.padding[i] - w[2 + i]) / op.stride[i] + 1;
    return fits ? CUDNN_STATUS_SUCCESS
                : bad("the shapes of a convolution's tensors do not belong together");
  }

  DnnGraph& graph_;
};

// Operations sorted so that each reads what is there: a chain that begins with the convolution.
cudnnStatus_t sort_chain(DnnGraph& graph) {
  auto& ops = graph.operations;
  const auto first = std::find_if(ops.begin(), ops.end(), [](const DnnOperation& op) {
    return op.kind <= DnnOperation::kFilter;
  });
  if (first == ops.end()) return CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
  std::iter_swap(ops.begin(), first);
  for (size_t i = 1; i < ops.size(); ++i) {
    const auto next = std::find_if(ops.begin() + static_cast<ptrdiff_t>(i), ops.end(),
                                   [&](const DnnOperation& op) { return op.x == ops[i - 1].y; });
    if (next == ops.end() || ops[0].kind != DnnOperation::kForward ||
        next->kind <= DnnOperation::kFilter)
      return CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
    std::iter_swap(ops.begin() + static_cast<ptrdiff_t>(i), next);
    if (!graph.tensor(ops[i].x).is_virtual) return CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
  }
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

size_t DnnTensor::bytes() const {
  return static_cast<size_t>(elements()) * element();
}

bool DnnGraph::bf16() const {
  const DnnOperation& op = operations[0];
  return tensor(op.kind == DnnOperation::kForward ? op.x : op.y).type == CUDNN_DATA_BFLOAT16;
}

int64_t DnnGraph::result() const {
  const DnnOperation& last = operations.back();
  if (last.kind == DnnOperation::kData) return last.x;
  return last.kind == DnnOperation::kFilter ? last.w : last.y;
}

cudnnStatus_t make_graph(const DnnBody& body, DnnGraph& graph) {
  graph = {};
  Reader reader(graph);
  for (const auto& op : body.values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).bodies) {
    if (const Names* const names = names_of(op->type))
      reader.convolution(*op, *names);
    else if (op->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
      reader.pointwise(*op);
    else
      return CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
    if (reader.status != CUDNN_STATUS_SUCCESS) return reader.status;
  }
  return sort_chain(graph);
}

}  // namespace ab::standin
