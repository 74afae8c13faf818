#include "tools/bench/case_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "kernels/numbers.h"
#include "kernels/philox.h"

namespace ab {
namespace {

// Two uniform numbers in (0, 1] for element i of buffer b.
struct Uniform2 {
  double u, v;
};
Uniform2 draw(uint64_t b, uint64_t i) {
  const Random4 r = philox(0x6b65726e656cull, b, i);
  return {(r.x + 1.0) * 0x1p-32, (r.y + 1.0) * 0x1p-32};
}

double fill_value(const CaseBuffer& buffer, uint64_t b, uint64_t i) {
  if (buffer.fill == Fill::kZero) return 0.0;
  const Uniform2 random = draw(b, i);
  if (buffer.fill == Fill::kUniform) return random.u;
  if (buffer.fill == Fill::kIndices)
    return std::min(std::floor(random.u * buffer.high), buffer.high - 1.0);
  const double normal = std::sqrt(-2.0 * std::log(random.u)) * std::cos(2.0 * M_PI * random.v);
  return buffer.fill == Fill::kHard ? 1000.0 + normal : normal;
}

void encode(DType dtype, double value, char* to) {
  const float single = static_cast<float>(value);
  BFloat16 half;
  store(&half, single);
  const int32_t integer = dtype == DType::kInt32 ? static_cast<int32_t>(value) : 0;
  const int64_t long_integer = dtype == DType::kInt64 ? static_cast<int64_t>(value) : 0;
  const uint8_t byte = dtype == DType::kUint8 ? static_cast<uint8_t>(value) : uint8_t{0};
  const void* from[] = {&single, &half, &value, &integer, &long_integer, &byte};
  std::memcpy(to, from[static_cast<int>(dtype)], size_of(dtype));
}

template <class T>
double read(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::is_same_v<T, BFloat16>)
    return load(value);
  else
    return static_cast<double>(value);
}

double decode(DType dtype, const char* from) {
  constexpr double (*kReaders[])(const char*) = {read<float>,   read<BFloat16>, read<double>,
                                                 read<int32_t>, read<int64_t>,  read<uint8_t>};
  return kReaders[static_cast<int>(dtype)](from);
}

bool hard(const KernelCase& row) {
  return std::any_of(row.buffers.begin(), row.buffers.end(),
                     [](const CaseBuffer& b) { return b.fill == Fill::kHard; });
}

// Allowed error relative to the buffer's largest wanted value. Inputs around 1000 that cancel to
// about 1 lose that factor in every float operation, but not in the final rounding to storage.
double allowed(const KernelCase& row, const CaseBuffer& buffer) {
  const double cancelled = hard(row) ? 1000.0 : 0.0;
  return tolerance(buffer.dtype, buffer.reduction) +
         cancelled * tolerance(DType::kFloat32, buffer.reduction);
}

}  // namespace

CaseValues fill_case(const KernelCase& row) {
  CaseValues values;
  for (size_t b = 0; b < row.buffers.size(); ++b) {
    const CaseBuffer& buffer = row.buffers[b];
    values.emplace_back(buffer.elements);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < buffer.elements; ++i) values[b][i] = fill_value(buffer, b, i);
  }
  if (row.prepare) row.prepare(values);
  return values;
}

CaseValues round_to_storage(const KernelCase& row, const CaseValues& values) {
  CaseValues rounded = values;
  for (size_t b = 0; b < rounded.size(); ++b)
#pragma omp parallel for schedule(static)
    for (double& value : rounded[b]) {
      char stored[8];
      encode(row.buffers[b].dtype, value, stored);
      value = decode(row.buffers[b].dtype, stored);
    }
  return rounded;
}

CaseRunner::CaseRunner(Device& device, const KernelCase& row)
    : device_(device), row_(row), inputs_(round_to_storage(row, fill_case(row))) {
  for (const CaseBuffer& buffer : row.buffers) {
    bytes_.push_back(buffer.elements * size_of(buffer.dtype));
    buffers_.emplace_back(device, std::max<size_t>(bytes_.back(), 1));
    pointers_.push_back(buffers_.back().data());
  }
  upload();
}

void CaseRunner::upload() {
  for (size_t b = 0; b < buffers_.size(); ++b) {
    const DType dtype = row_.buffers[b].dtype;
    std::vector<char> bytes(bytes_[b]);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < inputs_[b].size(); ++i)
      encode(dtype, inputs_[b][i], bytes.data() + i * size_of(dtype));
    device_.runtime().copy_to_device(device_.stream(), pointers_[b], bytes.data(), bytes.size());
    device_.runtime().synchronize(device_.stream());
  }
}

std::vector<char> CaseRunner::output_bytes() {
  std::vector<char> all;
  for (size_t b = 0; b < buffers_.size(); ++b) {
    if (!row_.buffers[b].output) continue;
    all.resize(all.size() + bytes_[b]);
    device_.runtime().copy_to_host(device_.stream(), all.data() + all.size() - bytes_[b],
                                   pointers_[b], bytes_[b]);
  }
  return all;
}

Agreement CaseRunner::compare() {
  CaseValues wanted = inputs_;
  row_.reference(wanted);
  const std::vector<char> bytes = output_bytes();
  Agreement result;
  double largest_input = 0.0;
  for (const std::vector<double>& values : inputs_)
    for (const double value : values) largest_input = std::max(largest_input, std::fabs(value));
  size_t at = 0;
  for (size_t b = 0; b < buffers_.size(); ++b) {
    const CaseBuffer& buffer = row_.buffers[b];
    if (!buffer.output) continue;
    double largest = 0.0;
    for (const double w : wanted[b]) largest = std::max(largest, std::fabs(w));
    if (largest == 0.0) largest = largest_input;  // terms of that size cancel
    const double limit = allowed(row_, buffer) * largest;
    for (int64_t i = 0; i < buffer.elements; ++i, at += size_of(buffer.dtype)) {
      const double got = decode(buffer.dtype, bytes.data() + at);
      const double error = std::fabs(got - wanted[b][i]);
      const double ratio = error == 0.0  ? 0.0
                           : limit > 0.0 ? error / limit
                                         : std::numeric_limits<double>::infinity();
      const double known = std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
      if (known <= result.worst) continue;
      result = {known, buffer.name + "[" + std::to_string(i) + "] is " + std::to_string(got) +
                           ", wanted " + std::to_string(wanted[b][i])};
    }
  }
  return result;
}

}  // namespace ab
