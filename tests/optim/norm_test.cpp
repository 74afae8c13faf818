// The global norm against sums known in closed form.
#include "kernels/norm.h"

#include <cmath>
#include <cstring>

#include "optim/adamw.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"

using namespace ab;

namespace {

double norm_of(const std::vector<float>& values) {
  const auto device = Device::create(test_device());
  Arena arena(*device);
  Context context(*device, arena);
  const Buffer memory(*device, values.size() * sizeof(float));
  device->runtime().copy_to_device(device->stream(), memory.data(), values.data(), memory.bytes());
  const Tensor x(memory.data(), {static_cast<int64_t>(values.size())}, DType::kFloat32);
  const Buffer squares(*device, sizeof(double));
  const auto measure = [&] {
    gradient_squares(context, x, squares.data());
    arena.end_step();
    double sum = 0.0;
    device->runtime().copy_to_host(device->stream(), &sum, squares.data(), sizeof sum);
    return std::sqrt(sum);
  };
  const double norm = measure(), again = measure();
  CHECK(std::memcmp(&again, &norm, sizeof norm) == 0);
  return norm;
}

}  // namespace

TEST_CASE("gradient norm of known vectors") {
  CHECK(norm_of({3.0f, 4.0f}) == 5.0);
  CHECK(norm_of({-2.0f}) == 2.0);
  CHECK(norm_of({}) == 0.0);
  // One past a chunk of 4096: 4097 ones.
  CHECK(norm_of(std::vector<float>(4097, 1.0f)) == std::sqrt(4097.0));
  // 1 .. n: n (n+1) (2n+1) / 6 with n = 1000: 333833500, every partial sum of a lane exact enough.
  std::vector<float> ramp(1000);
  for (int i = 0; i < 1000; ++i) ramp[i] = static_cast<float>(i + 1);
  CHECK(norm_of(ramp) == Approx(std::sqrt(333833500.0)).epsilon(1e-6));
}

TEST_CASE("gradient norm keeps its accuracy over many elements") {
  // 2^24 + 5 elements of 0.1f: one float sum would stop growing long before the end. A chunk's
  // float sum of 4096 terms is off by at most 4096 / 2^24 (it is about 1e-6 where the loop is
  // vectorised), however many chunks there are, and the root halves that.
  const int64_t n = (1 << 24) + 5;
  const double value = 0.1f;
  CHECK(norm_of(std::vector<float>(n, 0.1f)) ==
        Approx(std::sqrt(static_cast<double>(n) * value * value)).epsilon(0.5 * 4096 / 16777216));
}

TEST_CASE("gradient norm of what is not finite is not finite") {
  std::vector<float> values(5000, 1.0f);
  values[4321] = NAN;
  CHECK(std::isnan(norm_of(values)));
  values[4321] = INFINITY;
  CHECK(std::isinf(norm_of(values)));
}
