// open_dataset: the table of formats, and the checks that all of them share.
#include "data/dataset.h"

#include "data/formats.h"
#include "engine/error.h"

namespace ab {

namespace fs = std::filesystem;

std::unique_ptr<Dataset> open_dataset(const DataSettings& settings, Split split) {
  if (settings.format == "cifar10" || settings.format == "cifar100")
    return open_cifar(settings, split);
  if (settings.format == "idx") return open_idx(settings, split);
  if (settings.format == "image_folder") return open_image_folder(settings, split);
  if (settings.format == "shards") return open_shards(settings, split);
  if (settings.format == "synthetic") return open_synthetic(settings, split);
  throw ConfigError("data.format is \"" + settings.format +
                    "\"; known: cifar10, cifar100, idx, image_folder, shards, synthetic");
}

void check_label(int label, const DataSettings& settings, const fs::path& file, int64_t image) {
  if (label < settings.classes) return;
  throw DataError("label " + std::to_string(label) + " in " + file.string() +
                  ", but model.classes is " + std::to_string(settings.classes) + " (image " +
                  std::to_string(image) + "); at least " + std::to_string(label + 1) +
                  " would work");
}

bool there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

fs::path checked_dir(const DataSettings& settings) {
  if (settings.dir.empty())
    throw DataError("data.dir is empty; format " + settings.format +
                    " needs the folder of the dataset (--data DIR)");
  std::error_code error;
  if (!fs::is_directory(settings.dir, error))
    throw DataError("data.dir " + settings.dir + " is not a directory" +
                    (error ? ": " + error.message() : "") + "; give the folder of the " +
                    settings.format + " images (--data DIR)");
  return settings.dir;
}

}  // namespace ab
