// abtrain report RUN_DIR... -o FILE: one page from the folders of runs. DataError (exit 3) where a
// folder holds no run or the page cannot be written; notes on damaged files go into the page and to
// stderr.
#pragma once
#include "tools/train/options.h"

namespace ab {

int report_command(const Options& options);

}  // namespace ab
