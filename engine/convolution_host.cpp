// 2-D convolution, NHWC, filters OHWI, on oneDNN; accumulation fp32, dw always fp32. What runs is
// decided in convolution_host_plan.cpp; here it is run, with temporary memory from the arena. A
// kernel that covers its whole map is a matrix product, y (batch, out) = x (batch, h w in) w^T, and
// needs no reorder of its large filter: backward it goes through the gemm seam, which counts it.
#include "engine/convolution_host.h"

#include <cstring>

#include "engine/gemm.h"

namespace ab {
namespace {

// A 1 x 1 filter at stride 1 has for its gradient dw (out, in) = dy^T x, a product over all places.
// Measured faster than oneDNN's convolution (two AVX-512 threads): fp32 of many places, bf16 of
// few.
bool filter_is_product(const ConvolutionShape& s, DType dtype) {
  if (s.kernel_h * s.kernel_w != 1 || s.stride != 1 || s.padding != 0) return false;
  const int64_t places = s.batch * s.height * s.width;
  if (dtype == DType::kBFloat16) return places <= 1024;
  return places >= 8192 && s.in_channels * s.out_channels >= 16384;
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

// w (out, h, w, in) to `turned`, the taps of each filter in reverse order.
void turn_taps(const ConvolutionShape& s, int64_t element, const void* w, void* turned) {
  const int64_t taps = s.kernel_h * s.kernel_w, bytes = s.in_channels * element;
  const auto* from = static_cast<const char*>(w);
  auto* to = static_cast<char*>(turned);
#pragma omp parallel for schedule(static)
  for (int64_t o = 0; o < s.out_channels; ++o)
    for (int64_t t = 0; t < taps; ++t)
      std::memcpy(to + (o * taps + t) * bytes, from + (o * taps + taps - 1 - t) * bytes,
                  static_cast<size_t>(bytes));
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
  if (covers_map(shape) || filter_is_product(shape, dtype)) {
    const int64_t inputs = shape.kernel_h * shape.kernel_w * shape.in_channels;
    const int64_t places = shape.batch * shape.out_height() * shape.out_width();
    device_.gemm().multiply(
        stream, arena,
        product(shape.out_channels, inputs, places, dy, true, x, dw, dtype, DType::kFloat32));
    return;
  }
  device_.flops += shape.flops();
  run(arena, {shape, dtype, Pass::kFilter}, {x, dy, dw}, DevicePtr());
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
  return plans_.emplace(key, host::guarded(text_of(request), [&] { return make_plan(request); }))
      .first->second;
}

void HostConvolution::run(Arena& arena, const Request& request,
                          const std::array<DevicePtr, 3>& addresses, DevicePtr bias) {
  Plan& plan = this->plan(request);
  const auto memory = [&](size_t bytes) {
    return bytes > 0 ? Tensor(arena, {static_cast<int64_t>(bytes)}, DType::kUint8) : Tensor();
  };
  const Tensor turned = memory(plan.turned_bytes);
  const std::array<Tensor, 3> copies = {memory(plan.operands[0].bytes),
                                        memory(plan.operands[1].bytes),
                                        memory(plan.operands[2].bytes)};
  const Tensor scratch = memory(plan.scratch);
  if (dry_) return;
  std::array<void*, 3> plain = {addresses[0].as<void>(), addresses[1].as<void>(),
                                addresses[2].as<void>()};
  if (turned) {
    turn_taps(request.shape, size_of(request.dtype), plain[1], turned.data().as<void>());
    plain[1] = turned.data().as<void>();
  }
  host::guarded(text_of(request), [&] {
    for (size_t i = 0; i < 3; ++i) {
      Operand& operand = plan.operands[i];
      void* address = copies[i] ? copies[i].data().as<void>() : plain[i];
      plan.step.bind(operand.argument, address);
      if (!operand.reorder) continue;
      operand.reorder.bind(operand.result ? DNNL_ARG_FROM : DNNL_ARG_TO, address);
      operand.reorder.bind(operand.result ? DNNL_ARG_TO : DNNL_ARG_FROM, plain[i]);
      if (!operand.result) operand.reorder.run(stream_);
    }
    if (plan.has_bias) plan.step.bind(DNNL_ARG_BIAS, bias.as<void>());
    if (scratch) plan.step.bind(DNNL_ARG_SCRATCHPAD, scratch.data().as<void>());
    plan.step.run(stream_);
    if (plan.operands[2].reorder) plan.operands[2].reorder.run(stream_);
  });
}

}  // namespace ab
