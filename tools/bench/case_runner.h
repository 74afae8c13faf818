// Runs rows of the case table on a device: fills and rounds the inputs, uploads them, runs the
// kernel, compares with the float64 reference. Used by the kernel tests and by bench_kernels alike.
#pragma once
#include "engine/device.h"
#include "tools/bench/kernel_case.h"

namespace ab {

// Inputs of a row in double, from a seed fixed by the buffer's position, prepare() applied.
CaseValues fill_case(const KernelCase& row);
// Every value as its buffer stores it.
CaseValues round_to_storage(const KernelCase& row, const CaseValues& values);

struct Agreement {
  double worst = 0.0;  // largest error divided by what is allowed; NaN counts as infinite
  std::string text;    // where that was: buffer, element, got, wanted
  bool agrees() const { return worst <= 1.0; }
};

class CaseRunner {
 public:
  CaseRunner(Device& device, const KernelCase& row);

  // Puts the inputs back as they were before the first run.
  void upload();
  const std::vector<DevicePtr>& pointers() const { return pointers_; }
  const std::vector<size_t>& bytes() const { return bytes_; }
  void run() { run(pointers_); }
  void run(std::span<const DevicePtr> pointers) { row_.run(device_.stream(), pointers); }
  // The bytes of all outputs, one buffer after the other.
  std::vector<char> output_bytes();
  // Compares the outputs of one run with the row's reference.
  Agreement compare();

 private:
  Device& device_;
  const KernelCase& row_;
  CaseValues inputs_;
  std::vector<size_t> bytes_;
  std::vector<Buffer> buffers_;
  std::vector<DevicePtr> pointers_;
};

}  // namespace ab
