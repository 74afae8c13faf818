// Gram-Schmidt on rows whose frames can be worked out by hand, and on rows that depend on others.
#include "kernels/orthonormal.h"

#include <cmath>
#include <vector>

#include "engine/device.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"

namespace ab {
namespace {

std::vector<float> orthonormal(std::vector<float> x, int64_t rows) {
  const auto device = Device::create(test_device());
  const size_t bytes = x.size() * sizeof(float);
  const Buffer memory(*device, bytes);
  const Frame frame{memory.data(), rows, static_cast<int64_t>(x.size()) / rows};
  device->runtime().copy_to_device(device->stream(), memory.data(), x.data(), bytes);
  orthonormalise_rows(device->stream(), {&frame, 1});
  device->runtime().copy_to_host(device->stream(), x.data(), memory.data(), bytes);
  return x;
}

void check_frame(const std::vector<float>& x, int64_t rows) {
  const size_t n = x.size() / static_cast<size_t>(rows);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double dot = 0.0;
      for (size_t k = 0; k < n; ++k) dot += static_cast<double>(x[i * n + k]) * x[j * n + k];
      INFO("rows " << i << " and " << j);
      CHECK(std::abs(dot - (i == j)) < 1e-6);
    }
}

}  // namespace

TEST_CASE("rows become a frame of the space they span") {
  // (3, 4, 0) / 5; (1, 0, 2) less its part 0.6 along that: (0.64, -0.48, 2) / sqrt(4.64).
  const auto x = orthonormal({3, 4, 0, 1, 0, 2}, 2);
  const double length = std::sqrt(4.64);
  const double wanted[] = {0.6, 0.8, 0.0, 0.64 / length, -0.48 / length, 2 / length};
  for (size_t i = 0; i < 6; ++i) CHECK(x[i] == Approx(wanted[i]).margin(1e-6));
}

TEST_CASE("a row that depends on others gives way to another direction") {
  const auto x = orthonormal({1, 2, 2, 2, 4, 4, 0, 0, 0}, 3);  // twice the first, then nothing
  CHECK(x[0] == Approx(1.0 / 3.0));
  check_frame(x, 3);
  CHECK(orthonormal({1, 2, 2, 2, 4, 4, 0, 0, 0}, 3) == x);
}

TEST_CASE("nearly dependent rows come out orthogonal all the same") {
  // Hilbert's matrix: its 6 rows are independent with a condition number of 1.5e7.
  std::vector<float> x;
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 6; ++j) x.push_back(1.0f / static_cast<float>(i + j + 1));
  check_frame(orthonormal(x, 6), 6);
}

TEST_CASE("more rows than fit are refused") {
  CHECK_THROWS_AS(orthonormal({1, 2}, 2), std::invalid_argument);
}

}  // namespace ab
