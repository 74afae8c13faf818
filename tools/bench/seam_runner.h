// Runs a row of the seams' benchmark on a device and checks a sample of its result.
#pragma once
#include "tools/bench/seam_case.h"

namespace ab {

class SeamRunner {
 public:
  SeamRunner(Device& device, const SeamCase& row);

  const std::vector<size_t>& bytes() const { return bytes_; }
  const std::vector<DevicePtr>& pointers() const { return pointers_; }
  void run(std::span<const DevicePtr> pointers);
  // Runs once; the largest error as a share of what is allowed. At most 1 agrees; NaN counts as
  // infinite.
  double worst_error();

 private:
  double sampled_error(bool in_parts);

  Device& device_;
  const SeamCase& row_;
  Arena arena_;
  SeamValues values_;
  std::vector<Buffer> buffers_;
  std::vector<DevicePtr> pointers_;
  std::vector<size_t> bytes_;
};

}  // namespace ab
