// The device that a test runs on. CMake registers tests once per device of the build: ab_test's
// DEVICES adds <name>_cuda, which runs the same program with AB_TEST_DEVICE=cuda and counts as
// skipped where there is no GPU.
#pragma once
#include "kernels/stream.h"

namespace ab {

DeviceKind test_device();

}  // namespace ab
