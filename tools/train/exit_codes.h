// Exit codes of the programs, and the one place where an exception becomes one line and a code.
#pragma once
#include <cstdio>
#include <exception>
#include <functional>
#include <new>
#include <string>

#include "engine/error.h"

namespace ab {

enum ExitCode : int {
  kExitDone = 0,
  kExitInternal = 1,  // an exception that is none of ours: a defect
  kExitUsage = 2,
  kExitData = 3,
  kExitNonFinite = 4,
  kExitCommunication = 5,
  kExitDevice = 6,
  kExitCheckpointed = 75,  // checkpointed on request, run again
};

inline int exit_code_of(const std::exception& error) {
  if (dynamic_cast<const ConfigError*>(&error)) return kExitUsage;
  if (dynamic_cast<const DataError*>(&error)) return kExitData;
  if (dynamic_cast<const NonFiniteError*>(&error)) return kExitNonFinite;
  if (dynamic_cast<const CommunicationError*>(&error)) return kExitCommunication;
  if (dynamic_cast<const DeviceError*>(&error)) return kExitDevice;
  if (dynamic_cast<const std::bad_alloc*>(&error)) return kExitDevice;
  return kExitInternal;
}

// One line whatever the message holds, so that a log of many ranks stays readable.
inline std::string error_line(const std::exception& error) {
  std::string text = error.what();
  if (dynamic_cast<const std::bad_alloc*>(&error))
    text = "out of memory on the host; a smaller data.local_batch or model would fit";
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return "abtrain: error: " + text;
}

// Runs a program's body; an exception ends as one line on stderr and its code.
inline int guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error_line(error).c_str());
    return exit_code_of(error);
  }
}

}  // namespace ab
