// abtrain train: a run from config to summary on every rank.
#pragma once
#include "tools/train/options.h"

namespace ab {

int train_command(const Options& options);

}  // namespace ab
