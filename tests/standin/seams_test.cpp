// The cuda seams when a vendor's library refuses or fails: each call that a test makes fail ends in
// the next way to the result, or in a DeviceError that names the call.
#include "engine/arena.h"
#include "engine/convolution.h"
#include "engine/decomposition.h"
#include "engine/error.h"
#include "engine/gemm.h"
#include "tests/catch.h"
#include "tests/standin/fault_matcher.h"

namespace ab::standin {
namespace {

// The text of the DeviceError that `act` throws.
template <class F>
std::string error_of(F act) {
  try {
    act();
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool holds(const std::string& text, const std::string& part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

struct Gpu {
  std::unique_ptr<Device> device = Device::create(DeviceKind::kCuda);
  Arena arena{*device};
  Stream stream = device->stream();

  // (rows, columns) with 1 + i % 7 in place i, and 10 more on the diagonal.
  Tensor matrix(int64_t rows, int64_t columns) {
    Tensor t(arena, {rows, columns}, DType::kFloat32);
    std::vector<float> values(static_cast<size_t>(rows * columns));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(1 + i % 7);
    for (int64_t i = 0; i < std::min(rows, columns); ++i) values[i * columns + i] += 10.0f;
    device->runtime().copy_to_device(stream, t.data(), values.data(), t.bytes());
    return t;
  }
};

TEST_CASE("seams: a machine without a GPU says so") {
  set_device_count(0);
  holds(error_of([] { Device::create(DeviceKind::kCuda); }), "no GPU can be used");
  set_device_count(8);
}

TEST_CASE("seams: what is asked of a full GPU is told with what is held and free") {
  Gpu gpu;
  set_device_memory(size_t{1} << 20);
  const std::string error =
      error_of([&] { gpu.device->release(gpu.device->allocate(size_t{4} << 20), 0); });
  set_device_memory(size_t{16} << 30);
  holds(error, "4 MiB could not be had");
  holds(error, "data.local_batch");
}

TEST_CASE("seams: cuBLASLt fails") {
  Gpu gpu;
  const Tensor a = gpu.matrix(4, 4), b = gpu.matrix(4, 4), c = gpu.matrix(4, 4);
  const auto run = [&] { multiply(gpu.arena, gpu.stream, a, false, b, false, c); };
  fail_next("cublasLtMatmulAlgoGetHeuristic", 15);  // CUBLAS_STATUS_NOT_SUPPORTED
  holds(error_of(run), "cuBLASLt has no algorithm for");
  fail_next("cublasLtMatmul", 13);  // CUBLAS_STATUS_EXECUTION_FAILED
  holds(error_of(run), "cublasLtMatmul failed: CUBLAS_STATUS_EXECUTION_FAILED");
  run();
  gpu.device->tf32 = true;
  run();
  fail_next("cublasLtCreate", 3);  // CUBLAS_STATUS_ALLOC_FAILED
  holds(error_of([] { Device::create(DeviceKind::kCuda); }), "cublasLtCreate failed");
}

TEST_CASE("seams: a decomposition takes the next driver") {
  Gpu gpu;
  const Tensor w = gpu.matrix(6, 4);
  const auto run = [&](SvdRoute route) {
    return gpu.device->decomposition().decompose(gpu.stream, gpu.arena, w, 0.1f, route).report;
  };
  CHECK(run(SvdRoute::kGram).driver == "gram");
  CHECK(run(SvdRoute::kFull).driver == "gesvdj");
  fail_next("cusolverDnSgesvdj", 5);  // did not converge
  const DecompositionReport other = run(SvdRoute::kFull);
  CHECK(other.driver == "gesvd");
  CHECK(other.residual < 0.5f);
  fail_next("cusolverDnXsyevd", 1);
  CHECK(run(SvdRoute::kGram).driver == "gesvdj");
  for (const char* call : {"cusolverDnSgesvdj", "cusolverDnXgesvd", "cusolverDnXsyevd"})
    fail_next(call, 2);
  holds(error_of([&] { run(SvdRoute::kGram); }), "neither syevd, gesvd nor gesvdj converged");
  fail_next("cusolverDnXsyevd", -3);
  holds(error_of([&] { run(SvdRoute::kGram); }), "syevd refused argument 3");
  Gpu fresh;
  const Tensor v = fresh.matrix(3, 2);
  fail_next("cusolverDnCreate", 2);  // CUSOLVER_STATUS_ALLOC_FAILED
  holds(error_of([&] {
          fresh.device->decomposition().decompose(fresh.stream, fresh.arena, v, 0.1f,
                                                  SvdRoute::kAuto);
        }),
        "cusolverDnCreate failed");
}

TEST_CASE("seams: cuDNN fails, or refuses and is worked around") {
  Gpu gpu;
  const ConvolutionShape shape{1, 4, 4, 1, 1, 3, 3, 1, 1};
  const Tensor x = gpu.matrix(4, 4), w = gpu.matrix(3, 3), y = gpu.matrix(4, 4);
  const Tensor bias = gpu.matrix(1, 1);
  Convolution& seam = gpu.device->convolution();
  const auto run = [&](DevicePtr offsets, bool relu) {
    seam.forward(gpu.stream, gpu.arena, shape, DType::kFloat32, x.data(), w.data(), offsets, relu,
                 y.data());
  };
  fail_next("cudnnCreate", 1001);  // CUDNN_STATUS_NOT_INITIALIZED
  holds(error_of([&] { run(DevicePtr(), false); }), "cudnnCreate failed");
  fail_next("cudnnBackendExecute", 5000);  // CUDNN_STATUS_EXECUTION_FAILED
  holds(error_of([&] { run(DevicePtr(), false); }), "cuDNN convolution failed");
  CHECK(seam.notes().empty());
  run(bias.data(), true);  // fused fp32 needs tensor cores: refused, and noted
  REQUIRE(seam.notes().size() == 1);
  holds(seam.notes()[0], "cuDNN refused convolution forward fp32 with bias with ReLU");
  CHECK_THAT(take_faults(), faults({}));
}

}  // namespace
}  // namespace ab::standin
