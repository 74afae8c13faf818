#include "tools/train/datasets.h"

#include "engine/error.h"
#include "tools/train/resolve.h"

namespace ab {

std::unique_ptr<Dataset> open_fitting_dataset(const Config& config, Split split) {
  std::unique_ptr<Dataset> images = open_dataset(data_settings(config), split);
  const int stored = images->channels(), expected = config.model.channels.value();
  if (stored == expected) return images;
  throw ConfigError("model.channels: found " + std::to_string(expected) +
                    ", but images of format " + images->format() + " have " +
                    std::to_string(stored) + "; " + std::to_string(stored) + " would work");
}

Datasets open_datasets(const Config& config) {
  return {open_fitting_dataset(config, Split::kTrain), open_fitting_dataset(config, Split::kTest)};
}

}  // namespace ab
