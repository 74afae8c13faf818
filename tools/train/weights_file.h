// The file of weights that a path given by the user means.
#pragma once
#include <string>

namespace ab {

// A .safetensors file itself; of a checkpoint's folder its weights (the first image); of a run's
// folder those of the newest complete checkpoint. `flag` is named in the DataError otherwise.
std::string weights_file(const std::string& path, const std::string& flag);

}  // namespace ab
