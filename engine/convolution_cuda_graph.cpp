// Graphs hold one convolution, and behind a forward one the bias (fp32) and the ReLU; what lies
// between stays in fp32 and in registers. Tensors are described as (n, c, h, w) with channels last
// in memory. Engines come from cuDNN's heuristics, then its fallback list. Left out are engines
// that add in no fixed order (two runs agree to the bit), those on TF32 for fp32 tensors unless
// allowed, and those that want more than kWorkspaceLimit bytes.
#include "engine/convolution_cuda_graph.h"

#include <cudnn_frontend.h>

#include "engine/handles_cuda.h"

namespace ab::cuda {
namespace {

namespace graph = cudnn_frontend::graph;
using GraphTensor = std::shared_ptr<graph::Tensor_attributes>;
using cudnn_frontend::DataType_t;

constexpr int64_t kWorkspaceLimit = int64_t{256} << 20;
enum Uid : int64_t { kX = 1, kW, kY, kBias };  // names of the tensors in every graph

// Building a graph fails where the combination is not supported.
void need(cudnn_frontend::error_t error) {
  if (error.is_bad()) throw Refused(error.get_message());
}

DataType_t type_of(DType dtype) {
  return dtype == DType::kBFloat16 ? DataType_t::BFLOAT16 : DataType_t::FLOAT;
}

// Extents (n, channels, height, width) as cuDNN orders them.
graph::Tensor_attributes tensor(Uid uid, DType dtype, int64_t n, int64_t channels, int64_t height,
                                int64_t width) {
  return graph::Tensor_attributes()
      .set_uid(uid)
      .set_data_type(type_of(dtype))
      .set_dim({n, channels, height, width})
      .set_stride({height * width * channels, 1, width * channels, channels});
}

void make_output(const GraphTensor& result, const graph::Tensor_attributes& like) {
  result->set_output(true)
      .set_uid(like.get_uid())
      .set_data_type(like.get_data_type())
      .set_dim(like.get_dim())
      .set_stride(like.get_stride());
}

template <class Attributes>
Attributes window(const ConvolutionShape& s) {
  return Attributes()
      .set_padding({s.padding, s.padding})
      .set_stride({s.stride, s.stride})
      .set_dilation({1, 1});
}

graph::Pointwise_attributes pointwise(cudnn_frontend::PointwiseMode_t mode) {
  return graph::Pointwise_attributes().set_mode(mode).set_compute_data_type(DataType_t::FLOAT);
}

}  // namespace

void check_cudnn(cudnnStatus_t status, const char* call) {
  if (status != CUDNN_STATUS_SUCCESS) vendor_failed(call, cudnnGetErrorString(status));
}

std::string text_of(const ConvolutionRequest& request) {
  constexpr const char* kPasses[] = {"forward", "backward_data", "backward_filter"};
  std::string text = std::string("convolution ") + kPasses[static_cast<int>(request.pass)] + " " +
                     name_of(request.dtype);
  if (request.bias) text += " with bias";
  if (request.relu) text += " with ReLU";
  return text + ", " + ab::text_of(request.shape);
}

struct ConvolutionGraph::Graph {
  graph::Graph graph;
};

ConvolutionGraph::ConvolutionGraph(cudnnHandle_t library, const ConvolutionRequest& request,
                                   bool whole)
    : graph_(std::make_unique<Graph>()), whole_(whole) {
  try {
    describe(request);
    choose_plan(library, request);
  } catch (const cudnn_frontend::cudnnException& error) {
    throw Refused(error.what());
  }
}

ConvolutionGraph::~ConvolutionGraph() = default;

void ConvolutionGraph::describe(const ConvolutionRequest& request) {
  using cudnn_frontend::PointwiseMode_t;
  const ConvolutionShape& s = request.shape;
  graph::Graph& g = graph_->graph;
  g.set_io_data_type(type_of(request.dtype))
      .set_intermediate_data_type(DataType_t::FLOAT)
      .set_compute_data_type(DataType_t::FLOAT);
  const bool wide = whole_ && request.pass == Pass::kFilter;
  const auto x = tensor(kX, request.dtype, s.batch, s.in_channels, s.height, s.width);
  const auto w = tensor(kW, wide ? DType::kFloat32 : request.dtype, s.out_channels, s.in_channels,
                        s.kernel_h, s.kernel_w);
  const auto y = tensor(kY, request.dtype, s.batch, s.out_channels, s.out_height(), s.out_width());
  if (request.pass == Pass::kData)
    return make_output(
        g.conv_dgrad(g.tensor(y), g.tensor(w), window<graph::Conv_dgrad_attributes>(s)), x);
  if (request.pass == Pass::kFilter)
    return make_output(
        g.conv_wgrad(g.tensor(y), g.tensor(x), window<graph::Conv_wgrad_attributes>(s)), w);
  GraphTensor result =
      g.conv_fprop(g.tensor(x), g.tensor(w), window<graph::Conv_fprop_attributes>(s));
  if (whole_ && request.bias)
    result = g.pointwise(result, g.tensor(tensor(kBias, DType::kFloat32, 1, s.out_channels, 1, 1)),
                         pointwise(PointwiseMode_t::ADD));
  if (whole_ && request.relu) result = g.pointwise(result, pointwise(PointwiseMode_t::RELU_FWD));
  make_output(result, y);
}

void ConvolutionGraph::choose_plan(cudnnHandle_t library, const ConvolutionRequest& request) {
  using cudnn_frontend::HeurMode_t;
  using cudnn_frontend::NumericalNote_t;
  graph::Graph& g = graph_->graph;
  need(g.validate());
  need(g.build_operation_graph(library));
  need(g.create_execution_plans({HeurMode_t::A, HeurMode_t::FALLBACK}));
  std::vector<NumericalNote_t> unwanted = {NumericalNote_t::NONDETERMINISTIC};
  if (request.dtype == DType::kFloat32 && !request.tf32)
    unwanted.push_back(NumericalNote_t::TENSOR_CORE);
  g.deselect_numeric_notes(unwanted);
  g.deselect_workspace_greater_than(kWorkspaceLimit);
  need(g.check_support());
  need(g.build_plans(cudnn_frontend::BuildPlanPolicy_t::HEURISTICS_CHOICE));
  workspace_ = static_cast<size_t>(g.get_workspace_size());
}

void ConvolutionGraph::run(cudnnHandle_t library, const Operands& operands, void* workspace) const {
  std::unordered_map<int64_t, void*> addresses;
  for (const Uid uid : {kX, kW, kY, kBias})
    if (operands[uid - kX]) addresses[uid] = operands[uid - kX].as<void>();
  auto error = graph_->graph.execute(library, addresses, workspace);
  if (error.is_bad()) throw DeviceError("cuDNN convolution failed: " + error.get_message());
}

}  // namespace ab::cuda
