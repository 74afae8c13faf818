#include "tools/train/weights_file.h"

#include <algorithm>
#include <filesystem>

#include "engine/error.h"

namespace ab {

namespace fs = std::filesystem;

std::string weights_file(const std::string& path, const std::string& flag) {
  std::error_code error;
  if (!fs::exists(path, error))
    throw DataError(flag + " " + path + ": " +
                    (error ? error.message() : "no such file or folder") +
                    "; give a run's folder, a folder checkpoints/step-... of it, or a "
                    ".safetensors file");
  if (!fs::is_directory(path)) return path;
  if (fs::exists(path + "/weights.safetensors")) return path + "/weights.safetensors";
  std::string newest;
  if (fs::is_directory(path + "/checkpoints"))
    for (const auto& entry : fs::directory_iterator(path + "/checkpoints"))
      if (fs::exists(entry.path() / "DONE")) newest = std::max(newest, entry.path().string());
  if (newest.empty())
    throw DataError(flag + " " + path +
                    ": no weights.safetensors and no complete checkpoint in it; give the folder of "
                    "a finished run");
  return newest + "/weights.safetensors";
}

}  // namespace ab
