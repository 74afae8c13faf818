// abtrain plan: what a run will do and send, without a device.
#pragma once
#include "tools/train/options.h"

namespace ab {

// Prints the plan as text, or as one JSON object (interface.md).
int plan_command(const Options& options);

}  // namespace ab
