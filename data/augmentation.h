// What happens to a training image, drawn from (seed, epoch, image number) alone: the same on every
// rank, in every thread, after every restart. Pure functions; the pixels are moved elsewhere.
#pragma once
#include <cstdint>

#include "data/loader.h"

namespace ab {

// A rectangle of a stored image, in pixels.
struct Region {
  int top = 0, left = 0, height = 0, width = 0;
};

struct AugmentationKey {
  uint64_t seed = 0;
  int64_t epoch = 0, sample = 0;
};

// A window of the stored size in the image padded by `padding` on every side; mirrored half the
// time. top, left are uniform in [0, 2 padding].
CropFlip crop_flip_of(const AugmentationKey& key, int padding);

// A share of 0.08 to 1 of the area with a ratio width/height of 3/4 to 4/3, uniform in its
// logarithm. Ten tries; then the largest centred rectangle whose ratio is in the range.
Region random_resized_crop_of(const AugmentationKey& key, int height, int width);

}  // namespace ab
