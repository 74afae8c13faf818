// The formats behind open_dataset(), one file each; nobody outside data/ includes this.
// Every opener checks the files and all labels before it returns, and throws DataError otherwise.
#pragma once
#include <filesystem>

#include "data/dataset.h"

namespace ab {

std::unique_ptr<Dataset> open_cifar(const DataSettings& settings, Split split);
std::unique_ptr<Dataset> open_idx(const DataSettings& settings, Split split);
std::unique_ptr<Dataset> open_image_folder(const DataSettings& settings, Split split);
std::unique_ptr<Dataset> open_shards(const DataSettings& settings, Split split);
std::unique_ptr<Dataset> open_synthetic(const DataSettings& settings, Split split);

// "label 11 in FILE, but model.classes is 10 (image 3)" when the label is out of range.
void check_label(int label, const DataSettings& settings, const std::filesystem::path& file,
                 int64_t image);
// Whether the path exists; one that may not be looked at does not.
bool there(const std::filesystem::path& path);
// settings.dir, or DataError when it is empty or no directory.
std::filesystem::path checked_dir(const DataSettings& settings);

}  // namespace ab
