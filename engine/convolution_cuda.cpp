// 2-D convolution, NHWC, filters OHWI, on cuDNN's graph API; accumulation fp32, dw always fp32.
//   Each request has two ways: the whole in one graph (forward with bias and ReLU fused; dw written
//   in fp32), and, where cuDNN refuses that, a graph of the convolution alone followed by our own
//   kernels (bias and ReLU; the cast of a bf16 dw). What was refused and why is kept as a note.
//   A kernel that covers its whole map is a matrix product and goes through the gemm seam.
#include "engine/convolution_cuda.h"

#include "engine/aligned_cuda.h"
#include "engine/gemm.h"
#include "kernels/activation.h"
#include "kernels/cast.h"
#include "kernels/elementwise.h"

namespace ab {
namespace {

using cuda::Aligned;
using cuda::ConvolutionGraph;
using cuda::ConvolutionRequest;
using cuda::Pass;

bool is_product(const ConvolutionShape& s) {
  return s.padding == 0 && s.kernel_h == s.height && s.kernel_w == s.width;
}

// x, w and y of a convolution that is a product y = x w^T.
struct Product {
  Tensor x, w, y;

  Product(const ConvolutionShape& s, DType dtype, DType w_dtype, DevicePtr xs, DevicePtr ws,
          DevicePtr ys) {
    const int64_t inputs = s.kernel_h * s.kernel_w * s.in_channels;
    x = Tensor(xs, {s.batch, inputs}, dtype);
    w = Tensor(ws, {s.out_channels, inputs}, w_dtype);
    y = Tensor(ys, {s.batch, s.out_channels}, dtype);
  }
};

// The bias is fp32, and so is the sum that takes it: bf16 is rounded to once, at the end.
void forward_product(Stream stream, Arena& arena, const Product& p, DevicePtr bias, bool relu) {
  const DType dtype = p.y.dtype();
  const bool wide = bias && dtype != DType::kFloat32;
  const Tensor sum = wide ? Tensor(arena, p.y.shape(), DType::kFloat32) : p.y;
  affine(arena, stream, p.x, p.w,
         bias ? Tensor(bias, {p.y.shape()[-1]}, DType::kFloat32) : Tensor(), sum);
  if (wide) cast(stream, sum.elements(), sum.data(), DType::kFloat32, p.y.data(), dtype);
  if (relu) relu_forward(stream, dtype, p.y.elements(), p.y.data(), p.y.data());
}

int64_t filter_elements(const ConvolutionShape& s) {
  return s.out_channels * s.kernel_h * s.kernel_w * s.in_channels;
}

}  // namespace

CudaConvolution::CudaConvolution(Device& device) : device_(device) {}

void CudaConvolution::forward(Stream stream, Arena& arena, const ConvolutionShape& s, DType dtype,
                              DevicePtr x, DevicePtr w, DevicePtr bias, bool relu, DevicePtr y) {
  if (is_product(s))
    return forward_product(stream, arena, Product(s, dtype, dtype, x, w, y), bias, relu);
  device_.flops += s.flops();
  const ConvolutionGraph& plan =
      this->plan({s, dtype, Pass::kForward, static_cast<bool>(bias), relu, device_.tf32});
  const bool fused = plan.whole() && bias;
  const Aligned filter(arena, stream, w, filter_elements(s) * size_of(dtype), true);
  const Aligned offsets(arena, stream, fused ? bias : DevicePtr(), s.out_channels * sizeof(float),
                        true);
  run(stream, arena, plan, {x, filter.data(), y, offsets.data()});
  if (plan.whole()) return;
  const int64_t rows = s.batch * s.out_height() * s.out_width();
  if (relu)
    bias_relu_forward(stream, dtype, {rows, s.out_channels, y, bias, y});
  else if (bias)
    add_bias(stream, dtype, rows, s.out_channels, y, bias);
}

void CudaConvolution::backward_data(Stream stream, Arena& arena, const ConvolutionShape& s,
                                    DType dtype, DevicePtr dy, DevicePtr w, DevicePtr dx) {
  if (is_product(s)) {
    const Product p(s, dtype, dtype, dx, w, dy);
    return multiply(arena, stream, p.y, false, p.w, false, p.x);
  }
  device_.flops += s.flops();
  const ConvolutionGraph& plan = this->plan({s, dtype, Pass::kData, false, false, device_.tf32});
  const Aligned filter(arena, stream, w, filter_elements(s) * size_of(dtype), true);
  run(stream, arena, plan, {dx, filter.data(), dy, DevicePtr()});
}

void CudaConvolution::backward_filter(Stream stream, Arena& arena, const ConvolutionShape& s,
                                      DType dtype, DevicePtr x, DevicePtr dy, DevicePtr dw) {
  if (is_product(s)) {
    const Product p(s, dtype, DType::kFloat32, x, dw, dy);
    return multiply(arena, stream, p.y, true, p.x, false, p.w);
  }
  device_.flops += s.flops();
  const ConvolutionGraph& plan = this->plan({s, dtype, Pass::kFilter, false, false, device_.tf32});
  if (plan.whole()) {
    const Aligned filter(arena, stream, dw, filter_elements(s) * sizeof(float), false);
    run(stream, arena, plan, {x, filter.data(), dy, DevicePtr()});
    return filter.put_back();
  }
  const Tensor narrow(arena, {filter_elements(s)}, dtype);
  run(stream, arena, plan, {x, narrow.data(), dy, DevicePtr()});
  cast(stream, narrow.elements(), narrow.data(), dtype, dw, DType::kFloat32);
}

const ConvolutionGraph& CudaConvolution::plan(const ConvolutionRequest& request) {
  const ConvolutionShape& s = request.shape;
  const Key key = {s.batch,
                   s.height,
                   s.width,
                   s.in_channels,
                   s.out_channels,
                   s.kernel_h,
                   s.kernel_w,
                   s.stride,
                   s.padding,
                   static_cast<int64_t>(request.dtype),
                   static_cast<int64_t>(request.pass),
                   request.bias,
                   request.relu,
                   request.tf32};
  if (const auto found = plans_.find(key); found != plans_.end()) return *found->second;
  check_shape(s);
  return *plans_.emplace(key, make_plan(request)).first->second;
}

std::unique_ptr<ConvolutionGraph> CudaConvolution::make_plan(const ConvolutionRequest& request) {
  if (!library_.get()) AB_CUDNN(cudnnCreate(library_.slot()));
  std::string refusal;
  for (const bool whole : {true, false}) {
    if (!whole && !request.has_more()) break;
    try {
      auto plan = std::make_unique<ConvolutionGraph>(library_.get(), request, whole);
      if (!whole)
        notes_.push_back("cuDNN refused " + text_of(request) + " in one graph (" + refusal +
                         "); the convolution alone and our own kernel run instead");
      return plan;
    } catch (const cuda::Refused& error) {
      refusal = error.what();
    }
  }
  throw DeviceError("cuDNN does not run " + text_of(request) + ": " + refusal);
}

void CudaConvolution::run(Stream stream, Arena& arena, const ConvolutionGraph& plan,
                          const ConvolutionGraph::Operands& operands) {
  AB_CUDNN(cudnnSetStream(library_.get(), static_cast<cudaStream_t>(stream.handle)));
  const cuda::Workspace workspace(arena, plan.workspace());
  plan.run(library_.get(), operands, workspace.address());
}

}  // namespace ab
