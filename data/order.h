// How many steps an epoch has, and the data room's streams of random numbers.
#pragma once
#include "data/dataset.h"

namespace ab {

// Training: floor(images / G), G = local_batch * world; validation: ceil. Throws ConfigError for
// numbers that cannot be, and for a world in which training images do not fill one step.
int64_t steps_per_epoch(int64_t images, const DataSettings& settings, Split split, int rank,
                        int world);

// Who stands in for an image of the training split that does not decode: image number of the given
// try, a function of (seed, epoch, sample, attempt) alone. It may not decode either.
constexpr int kSubstituteTries = 16;
int64_t substitute_of(int64_t images, uint64_t seed, int64_t epoch, int64_t sample, int attempt);

// Upper words of the Philox counter. They lie above 2^56, out of the way of the streams that a
// network's layers count up from zero with the same seed.
constexpr uint64_t kOrderStream = uint64_t{0xD1} << 56;         // + epoch
constexpr uint64_t kAugmentationStream = uint64_t{0xD2} << 56;  // + epoch
constexpr uint64_t kSubstituteStream = uint64_t{0xD6} << 56;    // + epoch
constexpr uint64_t kSyntheticLabels = uint64_t{0xD3} << 56;     // + split
constexpr uint64_t kSyntheticNoise = uint64_t{0xD4} << 56;      // + split
constexpr uint64_t kSyntheticColours = uint64_t{0xD5} << 56;

}  // namespace ab
