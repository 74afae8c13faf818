// Random-resized-crop: C. Szegedy et al., "Going Deeper with Convolutions" (2014), section 6, with
// the customary ten tries and fallback. Flip and padded crop: K. He et al. (2015), section 4.2.
// Draw d of a sample is Philox(seed, augmentation stream + epoch, sample * 16 + d): 0 flip and
// window, 1 to 10 the tries. A bounded number is (word * bound) >> 32; its bias is below bound /
// 2^32.
#include "data/augmentation.h"

#include <algorithm>
#include <cmath>

#include "data/order.h"
#include "kernels/philox.h"

namespace ab {

namespace {

constexpr double kMinScale = 0.08, kMaxScale = 1.0;
constexpr double kMinRatio = 3.0 / 4.0, kMaxRatio = 4.0 / 3.0;
constexpr int kTries = 10, kDrawsPerSample = 16;

Random4 draw(const AugmentationKey& key, int number) {
  return philox(
      key.seed, kAugmentationStream + static_cast<uint64_t>(key.epoch),
      static_cast<uint64_t>(key.sample) * kDrawsPerSample + static_cast<uint64_t>(number));
}

int below(uint32_t word, int bound) {
  return static_cast<int>(uint64_t{word} * static_cast<uint64_t>(bound) >> 32);
}

Region centred(int height, int width) {
  Region region{0, 0, height, width};
  const double ratio = static_cast<double>(width) / height;
  if (ratio < kMinRatio)
    region.height = std::clamp(static_cast<int>(std::lround(width / kMinRatio)), 1, height);
  if (ratio > kMaxRatio)
    region.width = std::clamp(static_cast<int>(std::lround(height * kMaxRatio)), 1, width);
  region.top = (height - region.height) / 2;
  region.left = (width - region.width) / 2;
  return region;
}

}  // namespace

CropFlip crop_flip_of(const AugmentationKey& key, int padding) {
  const Random4 random = draw(key, 0);
  return {below(random.x, 2 * padding + 1), below(random.y, 2 * padding + 1),
          static_cast<int32_t>(random.z >> 31)};
}

Region random_resized_crop_of(const AugmentationKey& key, int height, int width) {
  const double area = static_cast<double>(height) * width;
  for (int attempt = 1; attempt <= kTries; ++attempt) {
    const Random4 random = draw(key, attempt);
    const double target = area * (kMinScale + (kMaxScale - kMinScale) * uniform(random.x));
    const double ratio =
        std::exp(std::log(kMinRatio) + std::log(kMaxRatio / kMinRatio) * uniform(random.y));
    const int64_t w = std::lround(std::sqrt(target * ratio));
    const int64_t h = std::lround(std::sqrt(target / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    Region region{0, 0, static_cast<int>(h), static_cast<int>(w)};
    region.top = below(random.z, height - region.height + 1);
    region.left = below(random.w, width - region.width + 1);
    return region;
  }
  return centred(height, width);
}

}  // namespace ab
