// Preparer: one stored image to the pixels and the crop of a batch, by settings.augment and split.
//   augment    training                                        validation
//   imagenet   random-resized-crop to image x image, flip      shorter side to image*256/224,
//   centre crop cifar      resize if of another size; pad 4, crop, flip    resize if of another
//   size none       resize if of another size                       the same
// Sizes are worked on here; padding, flip and normalisation are left to the device (CropFlip).
#pragma once
#include "data/augmentation.h"
#include "data/resize.h"

namespace ab {

class Preparer {
 public:
  // Throws ConfigError for an unknown augment.
  Preparer(const DataSettings& settings, Split split);

  // Writes (image, image, channels) bytes to `pixels` and what the kernel needs to `crop`.
  void prepare(const Image& image, int64_t epoch, int64_t sample, ResizeScratch& scratch,
               uint8_t* pixels, CropFlip& crop) const;

 private:
  enum class Augment : uint8_t { kCifar, kImagenet, kNone };
  static Augment augment_of(const DataSettings& settings);
  void resize_region(const Image& image, const Region& region, ResizeScratch& scratch,
                     uint8_t* pixels) const;
  void resize_and_crop(const Image& image, ResizeScratch& scratch, uint8_t* pixels) const;

  Augment augment_;
  bool training_;
  int side_, padding_;
  uint64_t seed_;
};

// Padding in pixels that `augment` asks for.
int padding_of(const DataSettings& settings);

}  // namespace ab
