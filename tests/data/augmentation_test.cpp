// Draws: bounds, distribution, and the order of an epoch against an independent derivation.
#include "data/augmentation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "data/loader.h"
#include "engine/error.h"
#include "tests/catch.h"

namespace ab::test {

TEST_CASE("An epoch's order is a permutation, another one in every epoch and seed", "[data]") {
  std::vector<int64_t> all(1000);
  std::iota(all.begin(), all.end(), 0);
  const auto first = epoch_order(1000, 7, 0);
  for (const auto& order : {first, epoch_order(1000, 7, 1), epoch_order(1000, 8, 0)}) {
    auto sorted = order;
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == all);
    // A random permutation has one fixed point on average; more than 10 has probability below 1e-7.
    int fixed = 0, same = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      fixed += order[i] == all[i];
      same += order[i] == first[i];
    }
    CHECK(fixed <= 10);
    CHECK((same <= 10 || order == first));
  }
  CHECK(epoch_order(1000, 7, 0) == first);
  CHECK(epoch_order(1, 7, 0) == std::vector<int64_t>{0});
  CHECK(epoch_order(0, 7, 0).empty());
}

TEST_CASE("The order agrees with a derivation in another language", "[data]") {
  // From a 25-line Python program with unbounded integers, whose Philox gave the published words
  // 6627e8d5 e169c58d bc57ac4c 9b00dbd8 for key and counter zero.
  CHECK(epoch_order(10, 1, 0) == std::vector<int64_t>{2, 4, 1, 5, 3, 6, 9, 8, 0, 7});
  CHECK(epoch_order(10, 1, 1) == std::vector<int64_t>{8, 9, 4, 5, 7, 1, 2, 0, 3, 6});
}

TEST_CASE("All orders of four come equally often", "[data]") {
  // 24 orders, 24,000 draws: 1,000 each, std 31; 6 sigma is 190.
  std::vector<int> counts(256, 0);
  for (int64_t epoch = 0; epoch < 24000; ++epoch) {
    size_t code = 0;
    for (const int64_t i : epoch_order(4, 3, epoch)) code = code * 4 + static_cast<size_t>(i);
    ++counts[code];
  }
  int orders = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++orders;
    CHECK(std::abs(count - 1000) < 190);
  }
  CHECK(orders == 24);
}

TEST_CASE("Crop and flip: all 81 windows, half of them mirrored", "[data]") {
  std::vector<int> windows(81, 0);
  int flips = 0;
  constexpr int kDraws = 81000;
  for (int i = 0; i < kDraws; ++i) {
    const CropFlip crop = crop_flip_of({1, i / 1000, i % 1000}, 4);
    REQUIRE((crop.top >= 0 && crop.top <= 8 && crop.left >= 0 && crop.left <= 8));
    REQUIRE((crop.flip == 0 || crop.flip == 1));
    ++windows[static_cast<size_t>(crop.top * 9 + crop.left)];
    flips += crop.flip;
  }
  for (const int count : windows) CHECK(std::abs(count - 1000) < 190);  // 6 sigma
  CHECK(std::abs(flips - kDraws / 2) < 900);                            // sigma 142
  const CropFlip still = crop_flip_of({1, 2, 3}, 0);
  CHECK(still.top == 0);
  CHECK(still.left == 0);
}

TEST_CASE("Random-resized-crop stays inside the image, the scale and the ratio", "[data]") {
  const int sizes[][2] = {{375, 500}, {500, 375}, {224, 224}, {64, 80}};
  double smallest = 1.0, largest = 0.0;
  for (const auto& [height, width] : sizes)
    for (int sample = 0; sample < 5000; ++sample) {
      const Region r = random_resized_crop_of({5, 1, sample}, height, width);
      REQUIRE((r.top >= 0 && r.left >= 0 && r.height >= 1 && r.width >= 1));
      REQUIRE((r.top + r.height <= height && r.left + r.width <= width));
      // Both sides are rounded by up to half a pixel.
      REQUIRE((r.width - 0.5) / (r.height + 0.5) <= 4.0 / 3.0);
      REQUIRE((r.width + 0.5) / (r.height - 0.5) >= 3.0 / 4.0);
      const double area = static_cast<double>(height) * width;
      REQUIRE((r.height + 0.5) * (r.width + 0.5) >= 0.08 * area);
      smallest = std::min(smallest, r.height * r.width / area);
      largest = std::max(largest, r.height * r.width / area);
    }
  CHECK(smallest < 0.09);
  CHECK(largest > 0.95);
}

TEST_CASE("Images too narrow for any try fall back to the centre", "[data]") {
  // Ratio 1/100: at least 8 % of the area is 800 pixels, at least 24 wide: every try fails.
  const Region tall = random_resized_crop_of({1, 0, 0}, 1000, 10);
  CHECK(tall.width == 10);
  CHECK(tall.height == 13);  // 10 / (3/4) rounded
  CHECK(tall.left == 0);
  CHECK(tall.top == (1000 - 13) / 2);
  const Region wide = random_resized_crop_of({1, 0, 0}, 10, 1000);
  CHECK(wide.height == 10);
  CHECK(wide.width == 13);
  CHECK(wide.left == (1000 - 13) / 2);
  const Region dot = random_resized_crop_of({1, 0, 0}, 1, 1);
  CHECK((dot.height == 1 && dot.width == 1 && dot.top == 0 && dot.left == 0));
}

TEST_CASE("Draws of different epochs, samples and seeds differ", "[data]") {
  std::set<std::pair<int, int>> regions;
  for (const AugmentationKey& key : {AugmentationKey{1, 0, 0}, {1, 0, 1}, {1, 1, 0}, {2, 0, 0}}) {
    const Region r = random_resized_crop_of(key, 5000, 7000);
    regions.insert({r.top, r.left});
  }
  CHECK(regions.size() == 4);
}

TEST_CASE("Normalisation is chosen by format, padding by augmentation", "[data]") {
  DataSettings settings;
  Normalisation n = normalisation_of(settings);
  CHECK(n.mean[0] == 0.4914f);
  CHECK(n.inverse_std[2] == Approx(1.0 / 0.2010));
  CHECK(n.padding == 4);
  settings.format = "idx";
  settings.augment = "none";
  n = normalisation_of(settings);
  CHECK(n.mean[0] == 0.1307f);
  CHECK(n.inverse_std[0] == Approx(1.0 / 0.3081));
  CHECK(n.padding == 0);
  settings.format = "image_folder";
  CHECK(normalisation_of(settings).mean[2] == 0.406f);
  settings.format = "other";
  CHECK_THROWS_AS(normalisation_of(settings), ConfigError);
}

}  // namespace ab::test
