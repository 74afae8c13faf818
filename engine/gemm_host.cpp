// C = alpha op(A) op(B) + beta C, row-major, on oneDNN.
//   fp32: dnnl_sgemm, or a matmul primitive where that was measured faster (prefers_plan).
//   bf16: matmul primitives, cached by the arguments without their addresses; the accumulation is
//         fp32 and rounds once on the way out. gemm_host_widened.cpp: CPUs without them.
//   A bias is added by the primitive before its sum is rounded; behind sgemm by our own kernel.
//   Batches: fp32 products run side by side, one thread each; bf16 as one batched primitive.
// The order of summation depends on the shape and the number of threads alone.
#include "engine/gemm_host.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "kernels/elementwise.h"

namespace ab {
namespace {

// Measured with oneDNN 2.6 on two AVX-512 threads (GF/s, sgemm against primitive): few rows times
// B^T, (128, 4096, 25088) 325 : 443, (16, 4096, 4096) 46 : 214; and A^T B that is neither wide nor
// very long in k, (2304, 768, 1576) 515 : 545. Elsewhere sgemm leads by up to a third.
bool prefers_plan(const GemmArguments& g) {
  if (g.a.transposed == g.b.transposed || g.outer * g.inner > 1) return false;
  if (g.b.transposed) return g.m >= 16 && g.m <= 512 && g.n >= 256 && g.k >= 256;
  return g.m >= 256 && g.n <= 1536 && g.k >= 512 && g.k <= 4096;
}

// Rows of B that lie a multiple of 2 KiB apart fall into the same few lines of the cache when sgemm
// packs them, and few rows of A do not make up for it. Copied apart, with the copy's time (two AVX2
// threads, GF/s): (128, 4096, 4096) 87 : 154, (32, 1024, 64) 86 : 128, (512, 512, 512) 131 : 188,
// (128, 896, 640) 188 : 171, (1568, 512, 512) 184 : 182, (16, 4096, 4096) 75 : 55.
bool rows_collide(const GemmArguments& g) {
  return !g.a.transposed && !g.b.transposed && g.outer * g.inner == 1 && g.b.ld % 512 == 0 &&
         g.m >= 32 && g.m <= 512;
}

// Columns of B that are copied at a time, and how far apart their rows then lie.
constexpr int64_t kPanel = 1024, kPitch = kPanel + 16;

void copy_panel(const GemmArguments& g, int64_t first, int64_t columns, float* to) {
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < g.k; ++r)
    std::memcpy(to + r * kPitch, g.b.data.as<float>() + r * g.b.ld + first,
                static_cast<size_t>(columns) * sizeof(float));
}

bool sgemm(const GemmArguments& g, int64_t product) {
  const auto at = [&](const Matrix& x) {
    return x.data.as<float>() + product / g.inner * x.outer_stride +
           product % g.inner * x.inner_stride;
  };
  return host::sgemm(g.a.transposed, g.b.transposed, g.m, g.n, g.k, g.alpha, at(g.a), g.a.ld,
                     at(g.b), g.b.ld, g.beta, at(g.c), g.c.ld);
}

void run_sgemm(const GemmArguments& g) {
  const int64_t products = g.outer * g.inner;
  bool fine = true;
  if (products < host::threads()) {
    for (int64_t i = 0; i < products; ++i) fine = sgemm(g, i) && fine;
  } else {
#pragma omp parallel for schedule(static) reduction(&& : fine)
    for (int64_t i = 0; i < products; ++i) fine = sgemm(g, i) && fine;
  }
  if (!fine) throw DeviceError("oneDNN " + text_of(g) + ": sgemm failed");
}

void run_in_panels(const GemmArguments& g, DevicePtr panel) {
  for (int64_t first = 0; first < g.n; first += kPanel) {
    GemmArguments part = g;
    part.n = std::min(kPanel, g.n - first);
    part.b = {panel, kPitch, false};
    part.c.data = g.c.data.plus_bytes(static_cast<size_t>(first) * sizeof(float));
    copy_panel(g, first, part.n, panel.as<float>());
    run_sgemm(part);
  }
}

int64_t word_of(float value) {
  int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace

HostGemm::HostGemm(Device& device, bool dry)
    : device_(device),
      dry_(dry),
      avx512_(host::has_avx512()),
      engine_(dnnl::engine::kind::cpu, 0),
      stream_(engine_) {}

void HostGemm::multiply(Stream stream, Arena& arena, const GemmArguments& g) {
  check_product(g);
  if (g.dtype == DType::kBFloat16 && !avx512_) return multiply_widened(stream, arena, g);
  device_.flops += 2.0 * g.m * g.n * g.k * g.outer * g.inner;
  if (g.dtype == DType::kBFloat16 || prefers_plan(g) || (g.bias && g.c.ld != g.n))
    return run_plan(arena, g);
  Tensor panel;
  if (!avx512_ && rows_collide(g)) panel = Tensor(arena, {g.k, kPitch}, DType::kFloat32);
  if (dry_) return;
  if (panel)
    run_in_panels(g, panel.data());
  else
    run_sgemm(g);
  if (g.bias) add_bias(stream, g.result_dtype, g.m, g.n, g.c.data, g.bias);
}

void HostGemm::run_plan(Arena& arena, const GemmArguments& g) {
  Plan& plan = this->plan(g);
  Tensor scratch;
  if (plan.scratch > 0)
    scratch = Tensor(arena, {static_cast<int64_t>(plan.scratch)}, DType::kUint8);
  if (dry_) return;
  host::guarded(text_of(g), [&] {
    plan.step.bind(DNNL_ARG_SRC, g.a.data.as<void>());
    plan.step.bind(DNNL_ARG_WEIGHTS, g.b.data.as<void>());
    plan.step.bind(DNNL_ARG_DST, g.c.data.as<void>());
    if (g.bias) plan.step.bind(DNNL_ARG_BIAS, g.bias.as<void>());
    if (scratch) plan.step.bind(DNNL_ARG_SCRATCHPAD, scratch.data().as<void>());
    plan.step.run(stream_);
  });
}

HostGemm::Plan& HostGemm::plan(const GemmArguments& g) {
  const host::Key<kWords> key = {g.m,
                                 g.n,
                                 g.k,
                                 g.outer,
                                 g.inner,
                                 g.a.ld,
                                 g.b.ld,
                                 g.c.ld,
                                 g.a.transposed,
                                 g.b.transposed,
                                 g.a.outer_stride,
                                 g.a.inner_stride,
                                 g.b.outer_stride,
                                 g.b.inner_stride,
                                 g.c.outer_stride,
                                 g.c.inner_stride,
                                 static_cast<int64_t>(g.dtype),
                                 static_cast<int64_t>(g.result_dtype),
                                 word_of(g.alpha),
                                 word_of(g.beta),
                                 static_cast<bool>(g.bias),
                                 host::threads()};
  if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
  return plans_.emplace(key, host::planned(text_of(g), [&] { return make_plan(g); })).first->second;
}

HostGemm::Plan HostGemm::make_plan(const GemmArguments& g) const {
  const bool batch = g.outer * g.inner > 1;
  const auto describe = [&](const Matrix& x, int64_t rows, int64_t columns, DType dtype) {
    host::Dims extents{rows, columns};
    host::Dims strides = x.transposed ? host::Dims{1, x.ld} : host::Dims{x.ld, 1};
    if (batch) {
      extents.insert(extents.begin(), {g.outer, g.inner});
      strides.insert(strides.begin(), {x.outer_stride, x.inner_stride});
    }
    return host::Descriptor(extents, host::onednn_type(dtype), strides);
  };
  const host::Descriptor a = describe(g.a, g.m, g.k, g.dtype);
  const host::Descriptor b = describe(g.b, g.k, g.n, g.dtype);
  const host::Descriptor c = describe(g.c, g.m, g.n, g.result_dtype);
  // The sum comes first, divided by alpha: the other order leaves the fast implementations.
  dnnl::post_ops ops;
  if (g.beta != 0.0f) ops.append_sum(g.beta / g.alpha);
  if (g.alpha != 1.0f) host::append_linear(ops, g.alpha);
  const host::Descriptor bias =
      g.bias ? host::Descriptor({1, g.n}, host::onednn_type(g.result_dtype), host::Dims{g.n, 1})
             : host::Descriptor();
  const auto descriptor = host::matmul_plan(engine_, a, b, bias, c, host::attributes(ops));
  Plan plan;
  plan.step = host::Step(dnnl::matmul(descriptor));
  plan.step.add(engine_, DNNL_ARG_SRC, a);
  plan.step.add(engine_, DNNL_ARG_WEIGHTS, b);
  plan.step.add(engine_, DNNL_ARG_DST, c);
  if (g.bias) plan.step.add(engine_, DNNL_ARG_BIAS, bias);
  plan.scratch = descriptor.scratchpad_desc().get_size();
  if (plan.scratch > 0) plan.step.add(engine_, DNNL_ARG_SCRATCHPAD, descriptor.scratchpad_desc());
  return plan;
}

}  // namespace ab
