// What the cuda seams choose and keep: one plan per shape, full fp32 unless TF32 is allowed, no
// more workspace than the limit, and the driver of a decomposition.
#include "engine/arena.h"
#include "engine/convolution.h"
#include "engine/decomposition.h"
#include "engine/gemm.h"
#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"

namespace ab::standin {
namespace {

struct Gpu {
  std::unique_ptr<Device> device = Device::create(DeviceKind::kCuda);
  Arena arena{*device};
  Stream stream = device->stream();

  Tensor tensor(const Shape& shape, const std::vector<float>& values) {
    Tensor t(arena, shape, DType::kFloat32);
    device->runtime().copy_to_device(stream, t.data(), values.data(), t.bytes());
    return t;
  }
  std::vector<float> values_of(const Tensor& t) {
    std::vector<float> values(static_cast<size_t>(t.elements()));
    device->runtime().copy_to_host(stream, values.data(), t.data(), t.bytes());
    return values;
  }
  Tensor zeros(const Shape& shape) {
    return tensor(shape, std::vector<float>(static_cast<size_t>(shape.elements())));
  }
  // 1 on the diagonal, 1/4 everywhere else: sigma is 3/4, but for one that is about sqrt(m n)/4.
  Tensor full_rank(int64_t m, int64_t n) {
    std::vector<float> values(static_cast<size_t>(m * n), 0.25f);
    for (int64_t i = 0; i < n; ++i) values[i * n + i] = 1.0f;
    return tensor({m, n}, values);
  }
  DecompositionReport decompose(const Tensor& w, SvdRoute route) {
    return device->decomposition().decompose(stream, arena, w, 0.01f, route).report;
  }
  // One pass of a 3 x 3 convolution with padding 1 over a map of 4 x 4.
  void convolve(const Tensor& x, const Tensor& w, const Tensor& y) {
    const ConvolutionShape s{1, 4, 4, 1, 1, 3, 3, 1, 1};
    device->convolution().forward(stream, arena, s, DType::kFloat32, x.data(), w.data(),
                                  DevicePtr(), false, y.data());
  }
};

TEST_CASE("choices: cuBLASLt and cuDNN are asked once for a shape") {
  Gpu gpu;
  const Tensor a = gpu.zeros({8, 8}), b = gpu.zeros({8, 8}), c = gpu.zeros({8, 8});
  const auto asked = [] { return calls_of("cublasLtMatmulAlgoGetHeuristic"); };
  const int before = asked();
  for (int i = 0; i < 3; ++i) multiply(gpu.arena, gpu.stream, a, false, b, false, c);
  CHECK(asked() == before + 1);
  multiply(gpu.arena, gpu.stream, a, true, b, false, c);
  CHECK(asked() == before + 2);

  const Tensor x = gpu.zeros({4, 4}), w = gpu.zeros({3, 3}), y = gpu.zeros({4, 4});
  gpu.convolve(x, w, y);
  const int described = calls_of("cudnnBackendCreateDescriptor");
  CHECK(described > 0);
  gpu.convolve(x, w, y);
  // A plan that exists is given addresses, in one descriptor, and nothing else.
  CHECK(calls_of("cudnnBackendCreateDescriptor") == described + 1);
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("choices: fp32 is fp32, unless TF32 is allowed") {
  // 1 + 2^-12 needs 12 bits of mantissa; TF32 has 10.
  const float fine = 1.0f + 0x1p-12f;
  Gpu gpu;
  CHECK_FALSE(gpu.device->tf32);
  const Tensor one = gpu.tensor({1, 1}, {1.0f}), x = gpu.tensor({1, 1}, {fine});
  const Tensor product = gpu.zeros({1, 1});
  const auto multiplied = [&] {
    multiply(gpu.arena, gpu.stream, x, false, one, false, product);
    return gpu.values_of(product)[0];
  };
  const Tensor map = gpu.tensor({4, 4}, std::vector<float>(16, fine)), y = gpu.zeros({4, 4});
  const Tensor middle = gpu.tensor({3, 3}, {0, 0, 0, 0, 1, 0, 0, 0, 0});
  const auto convolved = [&] {
    gpu.convolve(map, middle, y);
    return gpu.values_of(y)[5];
  };
  CHECK(multiplied() == fine);
  CHECK(convolved() == fine);
  gpu.device->tf32 = true;
  CHECK(multiplied() == 1.0f);
  CHECK(convolved() == 1.0f);
  // Decompositions stay in fp32, and leave the setting as it was.
  const Tensor w = gpu.tensor({2, 1}, {fine, 0.0f});
  CHECK(gpu.decompose(w, SvdRoute::kGram).sigma_max == fine);
  CHECK(gpu.device->tf32);
  gpu.device->tf32 = false;
  CHECK(multiplied() == fine);
}

TEST_CASE("choices: no more workspace than the limit") {
  const auto peak_with = [](size_t bytes) {
    set_engine_workspace(bytes);
    Gpu gpu;
    const Tensor x = gpu.zeros({4, 4}), w = gpu.zeros({3, 3}), y = gpu.zeros({4, 4});
    gpu.convolve(x, w, y);
    set_engine_workspace(0);
    return gpu.device->memory().peak_bytes;
  };
  constexpr size_t kMiB = size_t{1} << 20;
  CHECK(peak_with(200 * kMiB) > 200 * kMiB);  // the engine with a workspace is the first choice
  CHECK(peak_with(257 * kMiB) < 64 * kMiB);   // the limit is 256 MiB: another engine runs
  CHECK_THAT(take_faults(), faults({}));
}

TEST_CASE("choices: gesvdj up to 64 columns, gesvd above, and each stands in for the other") {
  Gpu gpu;
  const Tensor narrow = gpu.full_rank(70, 64), wide = gpu.full_rank(70, 65);
  const auto check = [&](const Tensor& w, SvdRoute route, const std::string& driver) {
    const DecompositionReport report = gpu.decompose(w, route);
    CHECK(report.driver == driver);
    CHECK(report.k == w.shape()[1]);
    CHECK(report.residual < 1e-5f);
  };
  check(narrow, SvdRoute::kAuto, "gesvdj");  // a cutoff of 0.01 is too fine for the Gram matrix
  check(wide, SvdRoute::kAuto, "gesvd");
  check(wide, SvdRoute::kGram, "gram");
  fail_next("cusolverDnSgesvdj", 7);  // did not converge
  check(narrow, SvdRoute::kFull, "gesvd");
  fail_next("cusolverDnXgesvd", 7);
  check(wide, SvdRoute::kFull, "gesvdj");
  fail_next("cusolverDnXgesvd", 7);
  fail_next("cusolverDnSgesvdj", 7);
  check(wide, SvdRoute::kFull, "gram");
  CHECK_THAT(take_faults(), faults({}));
}

}  // namespace
}  // namespace ab::standin
