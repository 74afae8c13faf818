// For the tests of the seams: numbers on a device and back, and how far a result is from its
// float64 reference as a share of what tools/bench/seam_bound.h allows.
#pragma once
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "engine/arena.h"
#include "engine/device.h"
#include "kernels/numbers.h"
#include "kernels/philox.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"
#include "tools/bench/seam_bound.h"

namespace ab::test {

struct Rig {
  explicit Rig(DeviceKind kind = test_device())
      : device(Device::create(kind)), arena(*device), stream(device->stream()) {}

  std::unique_ptr<Device> device;
  Arena arena;
  Stream stream;
};

// Uniform in [-1, 1), as the dtype stores it.
inline std::vector<float> numbers(int64_t count, uint64_t seed, DType dtype = DType::kFloat32) {
  std::vector<float> result(count);
  for (int64_t i = 0; i < count; ++i) {
    result[i] = 2.0f * uniform(philox(seed, 0, i).x) - 1.0f;
    if (dtype != DType::kBFloat16) continue;
    BFloat16 rounded;
    store(&rounded, result[i]);
    result[i] = load(rounded);
  }
  return result;
}

inline Buffer upload(Rig& rig, const std::vector<float>& values, DType dtype = DType::kFloat32) {
  Buffer buffer(*rig.device, values.size() * size_of(dtype));
  std::vector<BFloat16> narrow(dtype == DType::kBFloat16 ? values.size() : 0);
  for (size_t i = 0; i < narrow.size(); ++i) store(&narrow[i], values[i]);
  const void* from = narrow.empty() ? static_cast<const void*>(values.data()) : narrow.data();
  rig.device->runtime().copy_to_device(rig.stream, buffer.data(), from, buffer.bytes());
  return buffer;
}

inline std::vector<float> download(Rig& rig, DevicePtr data, int64_t count,
                                   DType dtype = DType::kFloat32) {
  std::vector<float> values(count);
  std::vector<BFloat16> narrow(dtype == DType::kBFloat16 ? count : 0);
  void* to = narrow.empty() ? static_cast<void*>(values.data()) : narrow.data();
  rig.device->runtime().copy_to_host(rig.stream, to, data, count * size_of(dtype));
  for (size_t i = 0; i < narrow.size(); ++i) values[i] = load(narrow[i]);
  return values;
}

// Largest |actual - expected| as a share of what is allowed: at most 1 passes.
inline double worst(const std::vector<float>& actual, const std::vector<Sum>& expected,
                    int64_t terms, DType dtype) {
  REQUIRE(actual.size() == expected.size());
  double worst = 0.0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double allowed = allowed_error(expected[i], terms, dtype);
    const double share = std::fabs(actual[i] - expected[i].value) / allowed;
    if (!(share <= worst)) worst = share;  // NaN is taken over
  }
  return worst;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace ab::test
