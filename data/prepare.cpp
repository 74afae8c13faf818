// Normalisation constants, and the way from a stored image to the network's size.
// Method: the published settings (method of the paper, its data section): ImageNet
// random-resized-crop 224, validation resize 256 and centre crop 224; CIFAR pad 4, crop 32, flip.
#include "data/prepare.h"

#include <cmath>
#include <cstring>

#include "engine/error.h"

namespace ab {

namespace {

struct Constants {
  const char* format;
  float mean[3], std[3];
};

// Units of 0..1 per channel. Synthetic pixels are means of two uniform numbers: std = 1/sqrt(24).
constexpr Constants kConstants[] = {
    {"cifar10", {0.4914f, 0.4822f, 0.4465f}, {0.2023f, 0.1994f, 0.2010f}},
    {"cifar100", {0.4914f, 0.4822f, 0.4465f}, {0.2023f, 0.1994f, 0.2010f}},
    {"image_folder", {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
    {"shards", {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
    {"idx", {0.1307f, 0.1307f, 0.1307f}, {0.3081f, 0.3081f, 0.3081f}},
    {"synthetic", {0.5f, 0.5f, 0.5f}, {0.2041f, 0.2041f, 0.2041f}},
};

}  // namespace

int padding_of(const DataSettings& settings) {
  return settings.augment == "cifar" ? 4 : 0;
}

Normalisation normalisation_of(const DataSettings& settings) {
  for (const Constants& constants : kConstants) {
    if (settings.format != constants.format) continue;
    Normalisation result;
    for (int c = 0; c < 3; ++c) {
      result.mean[c] = constants.mean[c];
      result.inverse_std[c] = 1.0f / constants.std[c];
    }
    result.padding = padding_of(settings);
    return result;
  }
  throw ConfigError("no normalisation for data.format \"" + settings.format + "\"");
}

Preparer::Augment Preparer::augment_of(const DataSettings& settings) {
  if (settings.augment == "cifar") return Augment::kCifar;
  if (settings.augment == "imagenet") return Augment::kImagenet;
  if (settings.augment == "none") return Augment::kNone;
  throw ConfigError("data.augment is \"" + settings.augment + "\"; known: cifar, imagenet, none");
}

Preparer::Preparer(const DataSettings& settings, Split split)
    : augment_(augment_of(settings)),
      training_(split == Split::kTrain),
      side_(settings.image),
      padding_(padding_of(settings)),
      seed_(settings.seed) {
  if (side_ < 1)
    throw ConfigError("model.image is " + std::to_string(side_) + "; it must be at least 1");
}

void Preparer::prepare(const Image& image, int64_t epoch, int64_t sample, ResizeScratch& scratch,
                       uint8_t* pixels, CropFlip& crop) const {
  const AugmentationKey key{seed_, epoch, sample};
  crop = {};
  if (augment_ == Augment::kImagenet) {
    if (!training_) return resize_and_crop(image, scratch, pixels);
    crop.flip = crop_flip_of(key, 0).flip;
    const Region region = random_resized_crop_of(key, image.height, image.width);
    return resize_region(image, region, scratch, pixels);
  }
  if (augment_ == Augment::kCifar)
    crop = training_ ? crop_flip_of(key, padding_) : CropFlip{padding_, padding_, 0};
  if (image.height == side_ && image.width == side_)
    std::memcpy(pixels, image.pixels.data(), image.pixels.size());
  else
    resize_region(image, {0, 0, image.height, image.width}, scratch, pixels);
}

void Preparer::resize_region(const Image& image, const Region& region, ResizeScratch& scratch,
                             uint8_t* pixels) const {
  resize_bilinear(image, {region.top, region.height, side_, 0, side_},
                  {region.left, region.width, side_, 0, side_}, scratch, pixels);
}

void Preparer::resize_and_crop(const Image& image, ResizeScratch& scratch, uint8_t* pixels) const {
  const int64_t shorter = std::lround(side_ * 256.0 / 224.0);
  const auto scaled = [&](int size, int other) {
    return size <= other ? shorter : shorter * size / other;
  };
  const int64_t height = scaled(image.height, image.width);
  const int64_t width = scaled(image.width, image.height);
  // Half a pixel goes to the even neighbour, as in torchvision's centre crop.
  const auto centred = [&](int64_t size) { return std::lrint((size - side_) / 2.0); };
  resize_bilinear(image, {0, image.height, height, centred(height), side_},
                  {0, image.width, width, centred(width), side_}, scratch, pixels);
}

}  // namespace ab
