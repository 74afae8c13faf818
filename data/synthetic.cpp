// Synthetic images for benchmarks and smoke tests: no file, any size, the same everywhere.
//   pixel = (tile + noise) / 2, tile: one of 4x4 colours drawn from the label, noise: drawn from
//   the image number; label drawn from the image number.
// Classes can be told apart, so a loss must fall. The test split draws other images of the same
// classes and is an eighth as large.
#include <algorithm>

#include "data/formats.h"
#include "data/order.h"
#include "engine/error.h"
#include "kernels/philox.h"

namespace ab {

namespace {

constexpr int kTiles = 4, kColours = 3;

class Synthetic final : public Dataset {
 public:
  Synthetic(const DataSettings& settings, Split split)
      : size_(split == Split::kTrain ? settings.synthetic_images
                                     : std::max<int64_t>(1, settings.synthetic_images / 8)),
        classes_(settings.classes),
        side_(settings.image),
        seed_(settings.seed),
        split_(split == Split::kTrain ? 0 : 1) {}

  int64_t size() const override { return size_; }
  int classes() const override { return classes_; }
  int channels() const override { return kColours; }
  int height() const override { return side_; }
  int width() const override { return side_; }
  const char* format() const override { return "synthetic"; }

  int label(int64_t index) const override {
    const uint32_t word = philox(seed_, kSyntheticLabels + split_, static_cast<uint64_t>(index)).x;
    return static_cast<int>(word % static_cast<uint32_t>(classes_));
  }

  void read(int64_t index, Image& image) const override {
    image.height = image.width = side_;
    image.channels = kColours;
    const size_t bytes = static_cast<size_t>(side_) * side_ * kColours;
    image.pixels.resize(bytes);
    uint8_t* out = image.pixels.data();
    const uint64_t first = static_cast<uint64_t>(index) << 32;
    for (size_t at = 0; at < bytes; at += 16) {
      const Random4 random = philox(seed_, kSyntheticNoise + split_, first + at / 16);
      const uint32_t words[4] = {random.x, random.y, random.z, random.w};
      for (size_t i = 0; i < std::min<size_t>(16, bytes - at); ++i)
        out[at + i] = static_cast<uint8_t>(words[i / 4] >> (8 * (i % 4)));
    }
    const uint64_t colours = static_cast<uint64_t>(label(index)) * kTiles * kTiles;
    for (int y = 0; y < side_; ++y)
      for (int tile = 0; tile < kTiles; ++tile) {
        const int row = y * kTiles / side_;
        const Random4 colour = philox(seed_, kSyntheticColours, colours + row * kTiles + tile);
        // Pixels x with x * kTiles / side == tile.
        const int begin = (tile * side_ + kTiles - 1) / kTiles;
        const int end = ((tile + 1) * side_ + kTiles - 1) / kTiles;
        for (int x = begin; x < end; ++x) {
          uint8_t* pixel = out + (static_cast<size_t>(y) * side_ + x) * kColours;
          pixel[0] = static_cast<uint8_t>((pixel[0] + (colour.x & 255)) / 2);
          pixel[1] = static_cast<uint8_t>((pixel[1] + (colour.y & 255)) / 2);
          pixel[2] = static_cast<uint8_t>((pixel[2] + (colour.z & 255)) / 2);
        }
      }
  }

 private:
  int64_t size_;
  int classes_, side_;
  uint64_t seed_, split_;
};

}  // namespace

std::unique_ptr<Dataset> open_synthetic(const DataSettings& settings, Split split) {
  if (settings.synthetic_images < 1 || settings.image < 1 || settings.classes < 1)
    throw ConfigError("synthetic data needs at least one image, pixel and class; found " +
                      std::to_string(settings.synthetic_images) + " images of side " +
                      std::to_string(settings.image) + ", " + std::to_string(settings.classes) +
                      " classes");
  return std::make_unique<Synthetic>(settings, split);
}

}  // namespace ab
