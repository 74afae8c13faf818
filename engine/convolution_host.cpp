// 2-D convolution, NHWC, filters OHWI, on oneDNN; accumulation fp32, dw always fp32.
//   Activations are handed over as they lie (plain NHWC) except where the blocked layout was
//   measured faster, both reorders included (prefers_blocked). Filters are reordered into whatever
//   the primitive asks for: 2 x filter bytes a call, under 2 % of the time for all but the smallest
//   batches. A kernel that covers its whole map is a matrix product, y (batch, out) = x (batch, h w
//   in) w^T, and needs no reorder of its large filter: a matmul with bias and ReLU forward, the
//   gemm seam backward.
#include "engine/convolution_host.h"

#include <stdexcept>

#include "engine/gemm.h"

namespace ab {
namespace {

using host::Descriptor;
using host::Dims;
using Tag = dnnl::memory::format_tag;

bool covers_map(const ConvolutionShape& s) {
  return s.padding == 0 && s.kernel_h == s.height && s.kernel_w == s.width;
}

// The matrix product that a map-covering kernel is: a (m, k), b (k, n), c (m, n), dense.
GemmArguments product(int64_t m, int64_t n, int64_t k, DevicePtr a, bool ta, DevicePtr b,
                      DevicePtr c, DType dtype, DType result) {
  GemmArguments g;
  g.m = m, g.n = n, g.k = k;
  g.a = {a, ta ? m : k, ta};
  g.b = {b, n, false};
  g.c = {c, n, false};
  g.dtype = dtype;
  g.result_dtype = result;
  return g;
}

}  // namespace

HostConvolution::HostConvolution(Device& device, bool dry)
    : device_(device), dry_(dry), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

void HostConvolution::forward(Stream, Arena& arena, const ConvolutionShape& shape, DType dtype,
                              DevicePtr x, DevicePtr w, DevicePtr bias, bool relu, DevicePtr y) {
  device_.flops += shape.flops();
  run(arena, {shape, dtype, Pass::kForward, static_cast<bool>(bias), relu}, {x, w, y}, bias);
}

void HostConvolution::backward_data(Stream stream, Arena& arena, const ConvolutionShape& shape,
                                    DType dtype, DevicePtr dy, DevicePtr w, DevicePtr dx) {
  if (covers_map(shape)) {
    const int64_t inputs = shape.kernel_h * shape.kernel_w * shape.in_channels;
    device_.gemm().multiply(
        stream, arena,
        product(shape.batch, inputs, shape.out_channels, dy, false, w, dx, dtype, dtype));
    return;
  }
  device_.flops += shape.flops();
  run(arena, {shape, dtype, Pass::kData}, {dy, w, dx}, DevicePtr());
}

void HostConvolution::backward_filter(Stream stream, Arena& arena, const ConvolutionShape& shape,
                                      DType dtype, DevicePtr x, DevicePtr dy, DevicePtr dw) {
  if (covers_map(shape)) {
    const int64_t inputs = shape.kernel_h * shape.kernel_w * shape.in_channels;
    device_.gemm().multiply(
        stream, arena,
        product(shape.out_channels, inputs, shape.batch, dy, true, x, dw, dtype, DType::kFloat32));
    return;
  }
  device_.flops += shape.flops();
  run(arena, {shape, dtype, Pass::kFilter}, {x, dy, dw}, DevicePtr());
}

// Measured with oneDNN 2.6 on two AVX-512 threads, 3 x 3, GF/s plain against blocked with reorders:
//   forward  (128, 4, 4, 512) -> 512  fp32 336 : 458, bf16 860 : 1432;  256 -> 512 fp32 559 : 459
//   data     (128, 4, 4, 512) <- 512  fp32 500 : 666;                   2 x 2 maps 386 : 380
//   filter   stride 2, (16, 56, 56, 128) fp32 347 : 449, bf16 742 : 722
bool HostConvolution::prefers_blocked(const Request& request) {
  const ConvolutionShape& s = request.shape;
  if (s.kernel_h * s.kernel_w == 1 || s.in_channels % 16 != 0 || s.out_channels % 16 != 0)
    return false;
  const bool bf16 = request.dtype == DType::kBFloat16;
  const int64_t map = s.height * s.width;
  if (request.pass == Pass::kForward) return map <= 16 && (bf16 || s.in_channels >= 512);
  if (request.pass == Pass::kData) return map <= 16 && map > 4;
  return s.stride > 1 && !bf16;
}

std::string HostConvolution::text_of(const Request& request) {
  constexpr const char* kPasses[] = {"forward", "backward_data", "backward_filter"};
  return std::string("convolution ") + kPasses[static_cast<int>(request.pass)] + " " +
         name_of(request.dtype) + ", " + ab::text_of(request.shape);
}

HostConvolution::Plan& HostConvolution::plan(const Request& request) {
  const ConvolutionShape& s = request.shape;
  const host::Key<kWords> key = {s.batch,
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
                                 host::threads()};
  if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
  check_shape(s);
  return plans_
      .emplace(key,
               host::guarded(
                   text_of(request),
                   [&] { return covers_map(s) ? make_dense_plan(request) : make_plan(request); }))
      .first->second;
}

// A padded map that the kernel fills has one output place, and any stride means the same. Not to
// oneDNN 2.6, whose bf16 filter gradient leaves taps unwritten at stride 2 on a 1 x 1 map.
static int64_t stride_of(const ConvolutionShape& s) {
  const bool filled =
      s.height + 2 * s.padding == s.kernel_h && s.width + 2 * s.padding == s.kernel_w;
  return filled ? 1 : s.stride;
}

HostConvolution::Plan HostConvolution::make_plan(const Request& request) const {
  const ConvolutionShape& s = request.shape;
  const auto type = host::onednn_type(request.dtype);
  const auto filter_type = request.pass == Pass::kFilter ? dnnl::memory::data_type::f32 : type;
  const Tag layout = prefers_blocked(request) ? Tag::any : Tag::nhwc;
  const Dims x_dims{s.batch, s.in_channels, s.height, s.width};
  const Dims w_dims{s.out_channels, s.in_channels, s.kernel_h, s.kernel_w};
  const Dims y_dims{s.batch, s.out_channels, s.out_height(), s.out_width()};
  const Descriptor x(x_dims, type, Tag::nhwc), w(w_dims, filter_type, Tag::ohwi),
      y(y_dims, type, Tag::nhwc);
  host::ConvolutionOperands wanted{
      {x_dims, type, layout}, {w_dims, type, Tag::any},     {},
      {y_dims, type, layout}, {stride_of(s), stride_of(s)}, {s.padding, s.padding}};
  if (request.bias)
    wanted.bias = Descriptor({s.out_channels}, dnnl::memory::data_type::f32, Tag::x);
  dnnl::post_ops ops;
  if (request.relu) host::append_relu(ops);
  const auto attr = host::attributes(ops);
  const auto forward = host::forward_plan(engine_, wanted, attr);
  Plan plan;
  plan.has_bias = request.bias;
  if (request.pass == Pass::kForward) {
    plan.step = host::Step(dnnl::convolution_forward(forward));
    adopt(plan, 0, DNNL_ARG_SRC, x, forward.src_desc(), false);
    adopt(plan, 1, DNNL_ARG_WEIGHTS, w, forward.weights_desc(), false);
    adopt(plan, 2, DNNL_ARG_DST, y, forward.dst_desc(), true);
    if (request.bias) plan.step.add(engine_, DNNL_ARG_BIAS, wanted.bias);
    finish(plan, forward.scratchpad_desc());
  } else if (request.pass == Pass::kData) {
    const auto data = host::backward_data_plan(engine_, wanted, attr, forward);
    plan.step = host::Step(dnnl::convolution_backward_data(data));
    adopt(plan, 0, DNNL_ARG_DIFF_DST, y, data.diff_dst_desc(), false);
    adopt(plan, 1, DNNL_ARG_WEIGHTS, w, data.weights_desc(), false);
    adopt(plan, 2, DNNL_ARG_DIFF_SRC, x, data.diff_src_desc(), true);
    finish(plan, data.scratchpad_desc());
  } else {
    wanted.w = Descriptor(w_dims, filter_type, Tag::any);
    const auto filter = host::backward_filter_plan(engine_, wanted, attr, forward);
    plan.step = host::Step(dnnl::convolution_backward_weights(filter));
    adopt(plan, 0, DNNL_ARG_SRC, x, filter.src_desc(), false);
    adopt(plan, 1, DNNL_ARG_DIFF_DST, y, filter.diff_dst_desc(), false);
    adopt(plan, 2, DNNL_ARG_DIFF_WEIGHTS, w, filter.diff_weights_desc(), true);
    finish(plan, filter.scratchpad_desc());
  }
  return plan;
}

HostConvolution::Plan HostConvolution::make_dense_plan(const Request& request) const {
  const ConvolutionShape& s = request.shape;
  const auto type = host::onednn_type(request.dtype);
  const int64_t inputs = s.kernel_h * s.kernel_w * s.in_channels;
  const Descriptor x({s.batch, inputs}, type, Tag::ab), w({inputs, s.out_channels}, type, Tag::ba),
      y({s.batch, s.out_channels}, type, Tag::ab);
  Descriptor bias;
  if (request.bias) bias = Descriptor({1, s.out_channels}, dnnl::memory::data_type::f32, Tag::ab);
  dnnl::post_ops ops;
  if (request.relu) host::append_relu(ops);
  const auto matmul = host::matmul_plan(engine_, x, w, bias, y, host::attributes(ops));
  Plan plan;
  plan.has_bias = request.bias;
  plan.step = host::Step(dnnl::matmul(matmul));
  adopt(plan, 0, DNNL_ARG_SRC, x, x, false);
  adopt(plan, 1, DNNL_ARG_WEIGHTS, w, w, false);
  adopt(plan, 2, DNNL_ARG_DST, y, y, true);
  if (request.bias) plan.step.add(engine_, DNNL_ARG_BIAS, bias);
  finish(plan, matmul.scratchpad_desc());
  return plan;
}

void HostConvolution::adopt(Plan& plan, size_t index, int argument, const Descriptor& plain,
                            const Descriptor& wanted, bool result) const {
  Operand& operand = plan.operands[index];
  operand.argument = argument;
  operand.result = result;
  plan.step.add(engine_, argument, wanted);
  if (plain == wanted) return;
  const Descriptor& from = result ? wanted : plain;
  const Descriptor& to = result ? plain : wanted;
  operand.reorder =
      host::Step(dnnl::reorder(dnnl::reorder::primitive_desc(engine_, from, engine_, to)));
  operand.reorder.add(engine_, DNNL_ARG_FROM, from);
  operand.reorder.add(engine_, DNNL_ARG_TO, to);
  operand.bytes = wanted.get_size();
}

void HostConvolution::finish(Plan& plan, const Descriptor& scratch) const {
  plan.scratch = scratch.get_size();
  if (plan.scratch > 0) plan.step.add(engine_, DNNL_ARG_SCRATCHPAD, scratch);
}

void HostConvolution::run(Arena& arena, const Request& request,
                          const std::array<DevicePtr, 3>& addresses, DevicePtr bias) {
  Plan& plan = this->plan(request);
  const auto memory = [&](size_t bytes) {
    return bytes > 0 ? Tensor(arena, {static_cast<int64_t>(bytes)}, DType::kUint8) : Tensor();
  };
  const std::array<Tensor, 3> copies = {memory(plan.operands[0].bytes),
                                        memory(plan.operands[1].bytes),
                                        memory(plan.operands[2].bytes)};
  const Tensor scratch = memory(plan.scratch);
  if (dry_) return;
  host::guarded(text_of(request), [&] {
    for (size_t i = 0; i < 3; ++i) {
      Operand& operand = plan.operands[i];
      void* address = (copies[i] ? copies[i].data() : addresses[i]).as<void>();
      plan.step.bind(operand.argument, address);
      if (!operand.reorder) continue;
      operand.reorder.bind(operand.result ? DNNL_ARG_FROM : DNNL_ARG_TO, address);
      operand.reorder.bind(operand.result ? DNNL_ARG_TO : DNNL_ARG_FROM, addresses[i].as<void>());
      if (!operand.result) operand.reorder.run(stream_);
    }
    if (plan.has_bias) plan.step.bind(DNNL_ARG_BIAS, bias.as<void>());
    if (scratch) plan.step.bind(DNNL_ARG_SCRATCHPAD, scratch.data().as<void>());
    plan.step.run(stream_);
    if (plan.operands[2].reorder) plan.operands[2].reorder.run(stream_);
  });
}

}  // namespace ab
