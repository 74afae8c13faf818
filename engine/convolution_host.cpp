// 2-D convolution, NHWC, filters OHWI, on oneDNN; accumulation fp32, dw always fp32. What runs is
// decided in convolution_host_plan.cpp; here it is run, with temporary memory from the arena. A
// kernel that covers its whole map is a matrix product, y (batch, out) = x (batch, h w in) w^T, and
// needs no reorder of its large filter: backward it goes through the gemm seam, which counts it.
#include "engine/convolution_host.h"

#include <cstring>

#include "engine/convolution_host_winograd.h"
#include "engine/gemm.h"
#include "kernels/cast.h"

namespace ab {
namespace {

// What each place of y sees of x (batch, h, w, in), zeros outside of the map: to patches
// (batch, out_h, out_w, kernel_h, kernel_w, in).
void gather_patches(const ConvolutionShape& s, int64_t element, const void* x, void* patches) {
  const int64_t bytes = s.in_channels * element, taps = s.kernel_h * s.kernel_w;
  const int64_t seen = s.out_height() * s.out_width();
  const auto* from = static_cast<const char*>(x);
  auto* to = static_cast<char*>(patches);
#pragma omp parallel for schedule(static)
  for (int64_t place = 0; place < s.batch * seen; ++place) {
    const int64_t n = place / seen, p = place % seen / s.out_width(), q = place % s.out_width();
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t h = p * s.stride - s.padding + tap / s.kernel_w;
      const int64_t w = q * s.stride - s.padding + tap % s.kernel_w;
      char* const slot = to + (place * taps + tap) * bytes;
      if (h >= 0 && h < s.height && w >= 0 && w < s.width)
        std::memcpy(slot, from + ((n * s.height + h) * s.width + w) * bytes,
                    static_cast<size_t>(bytes));
      else
        std::memset(slot, 0, static_cast<size_t>(bytes));
    }
  }
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
    : device_(device),
      dry_(dry),
      avx512_(host::has_avx512()),
      engine_(dnnl::engine::kind::cpu, 0),
      stream_(engine_) {}

void HostConvolution::forward(Stream stream, Arena& arena, const ConvolutionShape& shape,
                              DType dtype, DevicePtr x, DevicePtr w, DevicePtr bias, bool relu,
                              DevicePtr y) {
  device_.flops += shape.flops();
  run(stream, arena, {shape, dtype, Pass::kForward, static_cast<bool>(bias), relu}, {x, w, y},
      bias);
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
  run(stream, arena, {shape, dtype, Pass::kData}, {dy, w, dx}, DevicePtr());
}

void HostConvolution::backward_filter(Stream stream, Arena& arena, const ConvolutionShape& shape,
                                      DType dtype, DevicePtr x, DevicePtr dy, DevicePtr dw) {
  const int64_t places = shape.batch * shape.out_height() * shape.out_width();
  const int64_t inputs = shape.kernel_h * shape.kernel_w * shape.in_channels;
  const bool dense = covers_map(shape);
  const bool gathers =
      !dense && !is_winograd(shape, dtype, Pass::kFilter) && filter_is_gathered(shape);
  Tensor patches;
  if (gathers) {
    patches = Tensor(arena, {places, inputs}, dtype);
    if (!dry_) gather_patches(shape, size_of(dtype), x.as<void>(), patches.data().as<void>());
    x = patches.data();
  }
  if (gathers || dense || filter_is_product(shape, dtype)) {
    device_.gemm().multiply(
        stream, arena,
        product(shape.out_channels, inputs, places, dy, true, x, dw, dtype, DType::kFloat32));
    return;
  }
  device_.flops += shape.flops();
  run(stream, arena, {shape, dtype, Pass::kFilter}, {x, dy, dw}, DevicePtr());
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
  return plans_.emplace(key, host::planned(text_of(request), [&] { return make_plan(request); }))
      .first->second;
}

// Floats in temporary memory where the CPU does not multiply bf16; dw is fp32 as it is.
void HostConvolution::run_widened(Stream stream, Arena& arena, const Request& request,
                                  const std::array<DevicePtr, 3>& addresses, DevicePtr bias) {
  const ConvolutionShape& s = request.shape;
  const int64_t x = s.batch * s.height * s.width * s.in_channels;
  const int64_t y = s.batch * s.out_height() * s.out_width() * s.out_channels;
  const int64_t w = s.out_channels * s.kernel_h * s.kernel_w * s.in_channels;
  const bool filter = request.pass == Pass::kFilter;
  const std::array<int64_t, 3> counts = filter                           ? std::array{x, y, w}
                                        : request.pass == Pass::kForward ? std::array{x, w, y}
                                                                         : std::array{y, w, x};
  std::array<Tensor, 3> wide;
  std::array<DevicePtr, 3> floats = addresses;
  for (size_t i = 0; i < (filter ? 2 : 3); ++i) {
    wide[i] = Tensor(arena, {counts[i]}, DType::kFloat32);
    floats[i] = wide[i].data();
    if (i < 2) cast(stream, counts[i], addresses[i], DType::kBFloat16, floats[i], DType::kFloat32);
  }
  run(stream, arena, {s, DType::kFloat32, request.pass, request.bias, request.relu}, floats, bias);
  if (!filter) cast(stream, counts[2], floats[2], DType::kFloat32, addresses[2], DType::kBFloat16);
}

void HostConvolution::run_winograd(Arena& arena, const Request& request,
                                   const std::array<DevicePtr, 3>& addresses, DevicePtr bias) {
  const host::Winograd winograd(request.shape);
  const int64_t floats =
      request.pass == Pass::kFilter ? winograd.filter_scratch() : winograd.product_scratch();
  const Tensor memory(arena, {floats}, DType::kFloat32);
  if (dry_) return;
  const auto* a = addresses[0].as<const float>();
  const auto* b = addresses[1].as<const float>();
  auto* const to = addresses[2].as<float>();
  auto* const scratch = memory.data().as<float>();
  const bool fine = request.pass == Pass::kForward
                        ? winograd.forward(a, b, bias.as<const float>(), request.relu, to, scratch)
                    : request.pass == Pass::kData ? winograd.backward_data(a, b, to, scratch)
                                                  : winograd.backward_filter(a, b, to, scratch);
  if (!fine) throw DeviceError("oneDNN " + text_of(request) + ": sgemm failed");
}

void HostConvolution::run(Stream stream, Arena& arena, const Request& request,
                          const std::array<DevicePtr, 3>& addresses, DevicePtr bias) {
  if (request.dtype == DType::kBFloat16 && !avx512_)
    return run_widened(stream, arena, request, addresses, bias);
  if (is_winograd(request.shape, request.dtype, request.pass))
    return run_winograd(arena, request, addresses, bias);
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
