// abtrain eval: loss, top-1 and top-5 of saved weights on the validation images.
#pragma once
#include "tools/train/options.h"

namespace ab {

int eval_command(const Options& options);

}  // namespace ab
