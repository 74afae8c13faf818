#include "tools/bench/seam_runner.h"

#include <algorithm>
#include <limits>

#include "kernels/numbers.h"
#include "kernels/philox.h"

namespace ab {
namespace {

constexpr int64_t kSamples = 257;

// Uniform in [-1, 1), as the type stores it.
std::vector<float> random_values(const SeamBuffer& buffer, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(buffer.elements));
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < values.size(); i += 4) {
    const Random4 r = philox(seed, 0, i);
    const uint32_t words[] = {r.x, r.y, r.z, r.w};
    for (size_t j = i; j < std::min(i + 4, values.size()); ++j) {
      values[j] = 2.0f * uniform(words[j - i]) - 1.0f;
      if (buffer.dtype != DType::kBFloat16) continue;
      BFloat16 narrow;
      store(&narrow, values[j]);
      values[j] = load(narrow);
    }
  }
  return values;
}

// The bytes of values in a type.
std::vector<char> encoded(const std::vector<float>& values, DType dtype) {
  std::vector<char> bytes(values.size() * size_of(dtype));
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < values.size(); ++i)
    if (dtype == DType::kBFloat16)
      store(reinterpret_cast<BFloat16*>(bytes.data()) + i, values[i]);
    else
      store(reinterpret_cast<float*>(bytes.data()) + i, values[i]);
  return bytes;
}

}  // namespace

SeamRunner::SeamRunner(Device& device, const SeamCase& row)
    : device_(device), row_(row), arena_(device), values_(row.buffers.size()) {
  for (size_t b = 0; b < row.buffers.size(); ++b) {
    const bool result = row.element && b + 1 == row.buffers.size();
    if (!result) values_[b] = random_values(row.buffers[b], b + 1);
  }
  if (row.prepare) row.prepare(values_);
  for (size_t b = 0; b < row.buffers.size(); ++b) {
    const SeamBuffer& buffer = row.buffers[b];
    bytes_.push_back(static_cast<size_t>(buffer.elements) * size_of(buffer.dtype));
    buffers_.emplace_back(device, bytes_.back());
    pointers_.push_back(buffers_.back().data());
    if (values_[b].empty()) {
      device.runtime().zero(device.stream(), pointers_[b], bytes_[b]);
      continue;
    }
    const std::vector<char> bytes = encoded(values_[b], buffer.dtype);
    device.runtime().copy_to_device(device.stream(), pointers_[b], bytes.data(), bytes.size());
  }
}

void SeamRunner::run(std::span<const DevicePtr> pointers) {
  row_.run(device_, arena_, pointers);
  arena_.end_step();
}

double SeamRunner::worst_error() {
  if (row_.holds) {
    const bool holds = row_.holds(device_, arena_, pointers_);
    arena_.end_step();
    return holds ? 0.0 : std::numeric_limits<double>::infinity();
  }
  const size_t noted = device_.convolution().notes().size();
  run(pointers_);
  return sampled_error(device_.convolution().notes().size() > noted);
}

double SeamRunner::sampled_error(bool in_parts) {
  const SeamBuffer& result = row_.buffers.back();
  std::vector<char> bytes(bytes_.back());
  device_.runtime().copy_to_host(device_.stream(), bytes.data(), pointers_.back(), bytes.size());
  const int64_t count = std::min(kSamples, row_.results);
  double worst = 0.0;
  for (int64_t s = 0; s < count; ++s) {
    const int64_t index = count == 1 ? 0 : s * (row_.results - 1) / (count - 1);
    SeamElement wanted = row_.element(values_, index);
    if (!in_parts || row_.dtype != DType::kBFloat16) wanted.sum.stored = 0.0;
    const char* const at = bytes.data() + static_cast<size_t>(wanted.place) * size_of(result.dtype);
    const float got = result.dtype == DType::kBFloat16
                          ? load(*reinterpret_cast<const BFloat16*>(at))
                          : *reinterpret_cast<const float*>(at);
    const double share =
        std::fabs(got - wanted.sum.value) / allowed_error(wanted.sum, row_.terms, result.dtype);
    worst = share <= worst ? worst : std::isnan(share) ? HUGE_VAL : share;
  }
  return worst;
}

}  // namespace ab
