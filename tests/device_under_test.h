// The device that a test runs on. CMake registers tests once per device of the build: ab_test's
// DEVICES adds <name>_cuda, which runs the same program with AB_TEST_DEVICE=cuda and counts as
// skipped where there is no GPU.
#pragma once
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/stream.h"

namespace ab {

inline DeviceKind test_device() {
  const char* const name = std::getenv("AB_TEST_DEVICE");
  if (!name || std::string(name) == "host") return DeviceKind::kHost;
  if (std::string(name) == "cuda") return DeviceKind::kCuda;
  throw std::invalid_argument(std::string("AB_TEST_DEVICE ") + name + ": host or cuda");
}

}  // namespace ab
