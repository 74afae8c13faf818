// From stored images to the network's size, for every augmentation and split.
#include <algorithm>
#include <set>

#include "data/loader.h"
#include "tests/data/fixtures.h"
#include "tests/data/pictures.h"

namespace ab::test {

TEST_CASE("Every augmentation brings photographs to the network's size", "[data]") {
  TempDir dir;
  // Left half black, right half white, twice as wide as high.
  Image image{32, 64, 3, Bytes(32 * 64 * 3, 0)};
  for (int y = 0; y < 32; ++y)
    std::fill_n(image.pixels.begin() + (y * 64 + 32) * 3, 32 * 3, uint8_t{255});
  write_file(dir / "train/c/1.png", png_of(image));
  write_file(dir / "val/c/1.png", png_of(image));
  DataSettings settings = settings_of("image_folder", dir.path(), 1);
  settings.local_batch = 1;
  settings.workers = 0;
  settings.image = 28;  // validation: shorter side to 32: the stored size, centre crop 28
  for (const char* augment : {"imagenet", "cifar", "none"}) {
    settings.augment = augment;
    const bool imagenet = settings.augment == "imagenet";
    const auto val = open_dataset(settings, Split::kTest);
    Loader loader(*val, settings, Split::kTest, 0, 1);
    const HostBatch& batch = loader.next();
    REQUIRE(batch.height == 28);
    REQUIRE(batch.pixels.size() == 28 * 28 * 3);
    CHECK(batch.crops[0].top == (settings.augment == "cifar" ? 4 : 0));
    // The edge stays in the middle: 13 columns away from it, each side has its own colour.
    for (const int y : {0, 13, 27}) {
      CHECK(batch.pixels[static_cast<size_t>((y * 28 + 1) * 3)] == 0);
      CHECK(batch.pixels[static_cast<size_t>((y * 28 + 26) * 3)] == 255);
      if (imagenet) CHECK(batch.pixels[static_cast<size_t>((y * 28 + 13) * 3)] == 0);
      if (imagenet) CHECK(batch.pixels[static_cast<size_t>((y * 28 + 14) * 3)] == 255);
    }
    const auto train = open_dataset(settings, Split::kTrain);
    Loader training(*train, settings, Split::kTrain, 0, 1);
    std::set<int> flips;
    std::vector<Bytes> pictures;
    for (int i = 0; i < 40; ++i) {
      const HostBatch& drawn = training.next();
      flips.insert(drawn.crops[0].flip);
      if (std::find(pictures.begin(), pictures.end(), drawn.pixels) == pictures.end())
        pictures.push_back(drawn.pixels);
      if (imagenet) CHECK((drawn.crops[0].top == 0 && drawn.crops[0].left == 0));
    }
    CHECK(flips.size() == (settings.augment == "none" ? 1 : 2));
    CHECK((pictures.size() > 20) == imagenet);
  }
}

TEST_CASE("Extreme shapes are brought to size without overflow", "[data]") {
  TempDir dir;
  for (const auto& [height, width] : {std::pair{1, 3000}, {3000, 1}, {1, 1}})
    write_file(dir / ("val/c/" + std::to_string(height) + ".png"),
               png_of({height, width, 1, Bytes(static_cast<size_t>(height) * width, 77)}));
  fs::create_directories(dir / "train");
  fs::copy(dir / "val", dir / "train", fs::copy_options::recursive);
  DataSettings settings = settings_of("image_folder", dir.path(), 1);
  settings.local_batch = 2;
  settings.image = 40;
  settings.workers = 0;
  settings.augment = "imagenet";
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto dataset = open_dataset(settings, split);
    Loader loader(*dataset, settings, split, 0, 1);
    CHECK(loader.next().pixels == Bytes(2 * 40 * 40 * 3, 77));
  }
}

TEST_CASE("Synthetic images: classes can be told apart, splits and seeds differ", "[data]") {
  DataSettings settings;
  settings.format = "synthetic";
  settings.synthetic_images = 400;
  settings.classes = 3;
  settings.image = 9;
  const auto train = open_dataset(settings, Split::kTrain);
  const auto test = open_dataset(settings, Split::kTest);
  REQUIRE(train->size() == 400);
  REQUIRE(test->size() == 50);
  CHECK(train->height() == 9);
  // Top-left pixel: (colour of the class + noise) / 2; two images of a class differ by the noise
  // only.
  int low[3] = {255, 255, 255}, high[3] = {0, 0, 0}, count[3] = {0, 0, 0};
  Image image;
  for (int64_t i = 0; i < 400; ++i) {
    train->read(i, image);
    REQUIRE(image.pixels.size() == 243);
    const int label = train->label(i);
    REQUIRE((label >= 0 && label < 3));
    ++count[label];
    low[label] = std::min<int>(low[label], image.pixels[0]);
    high[label] = std::max<int>(high[label], image.pixels[0]);
  }
  for (int c = 0; c < 3; ++c) {
    CHECK(std::abs(count[c] - 133) < 57);  // 6 sigma of 9.4
    CHECK(high[c] - low[c] <= 128);
    CHECK(high[c] - low[c] > 100);  // of about 133 uniform draws
  }
  const Bytes last = image.pixels;
  settings.seed = 2;
  open_dataset(settings, Split::kTrain)->read(399, image);
  CHECK(image.pixels != last);
  test->read(0, image);
  const Bytes first_test = image.pixels;
  train->read(0, image);
  CHECK(image.pixels != first_test);
}

}  // namespace ab::test
