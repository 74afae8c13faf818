#include "tests/device_under_test.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace ab {

DeviceKind test_device() {
  const char* const name = std::getenv("AB_TEST_DEVICE");
  if (!name || std::string(name) == "host") return DeviceKind::kHost;
  if (std::string(name) == "cuda") return DeviceKind::kCuda;
  throw std::invalid_argument(std::string("AB_TEST_DEVICE ") + name + ": host or cuda");
}

}  // namespace ab
