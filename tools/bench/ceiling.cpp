#include "tools/bench/ceiling.h"

#include <algorithm>
#include <vector>

#include "engine/gemm.h"
#include "kernels/numbers.h"

namespace ab {
namespace {

// A GPU is not filled by what fills a CPU.
std::vector<int64_t> sizes_for(DeviceKind kind) {
  return kind == DeviceKind::kCuda ? std::vector<int64_t>{4096, 8192}
                                   : std::vector<int64_t>{1024, 1536, 2048};
}

constexpr int kTries = 8;

// Values in [-1, 1): zeros would draw less power than numbers do, and flatter the clock.
void fill(Device& device, DevicePtr to, int64_t count, DType dtype) {
  std::vector<char> bytes(count * size_of(dtype));
  for (int64_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(i * 37 % 1021) / 510.5f - 1.0f;
    if (dtype == DType::kBFloat16)
      store(reinterpret_cast<BFloat16*>(bytes.data()) + i, value);
    else
      store(reinterpret_cast<float*>(bytes.data()) + i, value);
  }
  device.runtime().copy_to_device(device.stream(), to, bytes.data(), bytes.size());
}

}  // namespace

double gemm_ceiling(Device& device, DType dtype) {
  const double counted = device.flops;
  double best = 0.0;
  for (const int64_t size : sizes_for(device.kind())) {
    Arena arena(device);
    const Shape shape{size, size};
    Buffer memory[3];
    for (Buffer& buffer : memory) {
      buffer = Buffer(device, shape.elements() * size_of(dtype));
      fill(device, buffer.data(), shape.elements(), dtype);
    }
    const auto matrix = [&](int i) { return Tensor(memory[i].data(), shape, dtype); };
    for (int i = 0; i <= kTries; ++i) {
      const double seconds = device.runtime().time(device.stream(), [&] {
        multiply(arena, device.stream(), matrix(0), false, matrix(1), false, matrix(2));
      });
      if (i > 0) best = std::max(best, 2.0 * size * size * size / seconds / 1e9);
      arena.end_step();
    }
  }
  device.flops = counted;
  return best;
}

}  // namespace ab
