// The flags of abtrain plan.
#pragma once
#include "tools/train/options.h"

namespace CLI {
class App;
}

namespace ab {

void add_plan_options(CLI::App& plan, Options& options);

}  // namespace ab
