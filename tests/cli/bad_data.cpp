#include "tests/cli/bad_data.h"

#include "data/loader.h"
#include "tests/data/pictures.h"

namespace ab::test {

std::vector<std::string> on_cifar(const fs::path& dir) {
  return {"--set",  "data.format=cifar10", "model.image=32", "model.patch=8", "data.local_batch=8",
          "--data", dir.string()};
}

CutPicture image_folder_with_cut_picture(const fs::path& dir) {
  constexpr int kPerClass = 40, kRanks = 4, kBatch = 4, kStep = 2, kRank = 2, kSeed = 1;
  const Bytes jpeg = jpeg_of(gradient(20, 24, 3));
  std::vector<fs::path> files;  // as the data set numbers them
  for (const char* name : {"bird", "cat"}) {
    for (int i = 10; i < 10 + kPerClass; ++i)
      files.push_back(dir / "train" / name / (std::to_string(i) + ".jpg"));
    for (int i = 0; i < 8; ++i) write_file(dir / "val" / name / (std::to_string(i) + ".jpg"), jpeg);
  }
  for (const fs::path& file : files) write_file(file, jpeg);
  const std::vector<int64_t> order = epoch_order(2 * kPerClass, kSeed, 0);
  const fs::path& met = files[static_cast<size_t>(
      order[static_cast<size_t>(kStep * kRanks * kBatch + kRank * kBatch + 1)])];
  write_file(met, Bytes(jpeg.begin(), jpeg.begin() + static_cast<ptrdiff_t>(jpeg.size() / 2)));
  return {met.string(),
          {"--set", "data.format=image_folder", "data.augment=imagenet", "data.workers=2",
           "data.local_batch=" + std::to_string(kBatch), "model.image=16", "model.patch=8",
           "model.classes=2", "--seed", std::to_string(kSeed), "--data", dir.string()}};
}

}  // namespace ab::test
