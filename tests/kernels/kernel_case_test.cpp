// Every row of the operation case table: the kernel against its float64 reference, the same bits
// from a second run and from any number of threads, and the reference's gradients against central
// differences of a forward loss, all in double.
#if defined(_OPENMP)
#include <omp.h>
#endif

#include <algorithm>
#include <cmath>

#include "tests/catch.h"
#include "tests/device_under_test.h"
#include "tools/bench/case_runner.h"

namespace ab {
namespace {

void set_threads(int threads) {
#if defined(_OPENMP)
  omp_set_num_threads(threads);
#else
  (void)threads;
#endif
}

std::string title(const KernelCase& row) {
  return row.kernel + " " + row.shape + " " + name_of(row.dtype);
}

// Central differences with step h: truncation h^2 f''' / 6, cancellation 1e-16 L / h.
void check_gradient(const KernelCase& row, int output, int input) {
  constexpr double kStep = 1e-4, kLimit = 1e-6;
  constexpr int64_t kPositions = 12;
  CaseValues values = fill_case(row), results = values;
  row.reference(results);
  const std::vector<double>& gradient = results[output];
  double largest = 1.0;
  for (const double g : gradient) largest = std::max(largest, std::fabs(g));
  const int64_t n = static_cast<int64_t>(gradient.size()), count = std::min(n, kPositions);
  for (int64_t k = 0; k < count; ++k) {
    const int64_t i = count == 1 ? 0 : k * (n - 1) / (count - 1);
    double& x = values[input][i];
    const double before = x;
    x = before + kStep;
    const double above = row.loss(values);
    x = before - kStep;
    const double below = row.loss(values);
    x = before;
    INFO(title(row) << ": " << row.buffers[output].name << "[" << i << "]");
    CHECK(std::fabs((above - below) / (2.0 * kStep) - gradient[i]) <= kLimit * largest);
  }
}

// Against the reference, then the same bits from a second run and from other numbers of threads.
void check_row(Device& device, const KernelCase& row) {
  INFO(title(row));
  CaseRunner runner(device, row);
  set_threads(1);
  runner.run();
  const Agreement agreement = runner.compare();
  INFO(agreement.text << ", " << agreement.worst << " times what is allowed");
  CHECK(agreement.agrees());
  const std::vector<char> first = runner.output_bytes();
  for (const int threads : {1, 2, 3}) {
    set_threads(threads);
    runner.upload();
    runner.run();
    INFO(threads << " threads");
    CHECK(runner.output_bytes() == first);
    // A GPU does not use them: one more run is enough.
    if (device.kind() != DeviceKind::kHost || (row.benchmark && threads == 2)) break;
  }
  set_threads(2);
}

template <class Takes>
void check_rows(Takes takes) {
  const auto device = Device::create(test_device());
  for (const KernelCase& row : kernel_cases())
    if (takes(row)) check_row(*device, row);
}

}  // namespace

TEST_CASE("kernels agree with their float64 reference and repeat to the bit") {
  check_rows([](const KernelCase& row) { return !row.benchmark; });
}

// The rows large enough to time, apart because they take long under a sanitizer.
TEST_CASE("large rows agree and repeat, fp32", "[large_fp32]") {
  check_rows([](const KernelCase& row) { return row.benchmark && row.dtype == DType::kFloat32; });
}

TEST_CASE("large rows agree and repeat, other types", "[large_bf16]") {
  check_rows([](const KernelCase& row) { return row.benchmark && row.dtype != DType::kFloat32; });
}

TEST_CASE("backward references are the derivative of the forward formula") {
  int checked = 0;
  for (const KernelCase& row : kernel_cases()) {
    if (!row.loss || row.benchmark || row.dtype != DType::kFloat32) continue;
    for (const auto& [output, input] : row.gradients) check_gradient(row, output, input);
    ++checked;
  }
  CHECK(checked > 20);
}

}  // namespace ab
