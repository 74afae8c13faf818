// Real photographs: CIFAR-10 as JPEG files and 250 ImageNet files of natural sizes. The archives
// are not part of the repository; AB_TEST_DATA names their folder. Without them the program says
// SKIPPED.
#include <cstdlib>

#include "data/loader.h"
#include "tests/data/fixtures.h"

namespace ab::test {

namespace {

fs::path archive(const std::string& name) {
  std::vector<fs::path> places = {fs::path(AB_SOURCE_DIR) / "../shared/data"};
  if (const char* variable = std::getenv("AB_TEST_DATA")) places.insert(places.begin(), variable);
  for (const fs::path& place : places)
    if (fs::exists(place / name)) return place / name;
  WARN("SKIPPED: no " << name << " in AB_TEST_DATA");
  return {};
}

void unpack(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

}  // namespace

TEST_CASE("250 ImageNet photographs decode, and become batches", "[data]") {
  const fs::path tar = archive("imagenet-sample-250.tar");
  if (tar.empty()) return;
  TempDir dir;
  unpack("tar xf '" + tar.string() + "' -C '" + dir.path().string() + "'");
  DataSettings settings = settings_of("image_folder", dir / "imagenet-sample", 250);
  settings.augment = "imagenet";
  settings.image = 224;
  settings.local_batch = 50;
  const auto dataset = open_dataset(settings, Split::kTrain);
  REQUIRE(dataset->size() == 250);
  CHECK(dataset->classes() == 250);
  Loader loader(*dataset, settings, Split::kTrain, 0, 1);
  double sum = 0.0;
  for (int64_t step = 0; step < loader.steps_per_epoch(); ++step) {
    const HostBatch& batch = loader.next();
    REQUIRE(batch.pixels.size() == 50u * 224 * 224 * 3);
    for (const uint8_t pixel : batch.pixels) sum += pixel;
  }
  // The published mean of ImageNet is 0.449 over the channels; 250 images of std about 0.16 (of
  // image means) lie within 5 * 0.16 / sqrt(250) = 0.05.
  CHECK(sum / (250.0 * 224 * 224 * 3 * 255) == Approx(0.449).margin(0.05));
}

TEST_CASE("CIFAR-10's test images as a folder of JPEG files", "[data]") {
  const fs::path tar = archive("cifar10-jpeg.tar.zst");
  if (tar.empty()) return;
  TempDir dir;
  unpack("zstd -dq --long=27 --stdout '" + tar.string() + "' | tar x -C '" + dir.path().string() +
         "' --wildcards '*test/*'");
  DataSettings settings = settings_of("image_folder", dir.path());
  settings.augment = "none";
  settings.local_batch = 100;
  const auto dataset = open_dataset(settings, Split::kTest);
  REQUIRE(dataset->size() == 10000);
  CHECK(dataset->classes() == 10);
  Loader loader(*dataset, settings, Split::kTest, 0, 1);
  double sums[3] = {};
  for (int64_t step = 0; step < 100; ++step) {
    const HostBatch& batch = loader.next();
    for (size_t i = 0; i < batch.pixels.size(); ++i) sums[i % 3] += batch.pixels[i];
    for (const int32_t label : batch.labels) REQUIRE(label == step / 10);
  }
  // The published channel means of CIFAR-10; 10,000 images of std 0.12 lie within 0.006, and JPEG's
  // colour conversion shifts a mean by less than one level, 0.004.
  const double means[3] = {0.4914, 0.4822, 0.4465};
  for (int c = 0; c < 3; ++c)
    CHECK(sums[c] / (10000.0 * 1024 * 255) == Approx(means[c]).margin(0.01));
}

}  // namespace ab::test
