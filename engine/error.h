// The errors a caller can tell apart; tools/ maps them to the exit codes of the interface.
#pragma once
#include <stdexcept>
#include <string>

namespace ab {

struct ConfigError : std::runtime_error {
  using runtime_error::runtime_error;
};  // exit 2
struct DataError : std::runtime_error {
  using runtime_error::runtime_error;
};  // exit 3
struct NonFiniteError : std::runtime_error {
  using runtime_error::runtime_error;
};  // exit 4
struct CommunicationError : std::runtime_error {
  using runtime_error::runtime_error;
};  // exit 5
struct DeviceError : std::runtime_error {
  using runtime_error::runtime_error;
};  // exit 6

}  // namespace ab
