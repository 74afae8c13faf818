// The images of a configuration, opened and compared with its model: what open_dataset() cannot
// know. Sizes need no comparison, since every image is brought to model.image; colour channels do.
#pragma once
#include <memory>

#include "data/dataset.h"
#include "tools/train/config.h"

namespace ab {

struct Datasets {
  std::unique_ptr<Dataset> train, test;
};

// Throws DataError (the files), ConfigError (model.channels).
std::unique_ptr<Dataset> open_fitting_dataset(const Config& config, Split split);
Datasets open_datasets(const Config& config);

}  // namespace ab
