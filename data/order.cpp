// The order of an epoch, what stands in for an image, and how many steps an epoch has.
#include "data/order.h"

#include <string>

#include "data/loader.h"
#include "engine/error.h"
#include "engine/random_permutation.h"
#include "kernels/philox.h"

namespace ab {
namespace {

constexpr int64_t kMaxLocalBatch = 1 << 20;

std::string remedy(int64_t images, int64_t local, int world) {
  const std::string batch = std::to_string(images / world), ranks = std::to_string(images / local);
  if (images >= world && images >= local)
    return "data.local_batch of at most " + batch + ", or at most " + ranks + " ranks, would work";
  if (images >= world) return "data.local_batch of at most " + batch + " would work";
  if (images >= local) return "at most " + ranks + " ranks would work";
  return "one rank with data.local_batch of at most " + std::to_string(images) + " would work";
}

}  // namespace

std::vector<int64_t> epoch_order(int64_t images, uint64_t seed, int64_t epoch) {
  return random_permutation(images, seed, kOrderStream + static_cast<uint64_t>(epoch));
}

// A remainder of 64 random bits: its bias is below images / 2^64.
int64_t substitute_of(int64_t images, uint64_t seed, int64_t epoch, int64_t sample, int attempt) {
  const Random4 random =
      philox(seed, kSubstituteStream + static_cast<uint64_t>(epoch),
             static_cast<uint64_t>(sample) * kSubstituteTries + static_cast<uint64_t>(attempt));
  const uint64_t bits = uint64_t{random.y} << 32 | random.x;
  return static_cast<int64_t>(bits % static_cast<uint64_t>(images));
}

int64_t steps_per_epoch(int64_t images, const DataSettings& settings, Split split, int rank,
                        int world) {
  const int64_t local = settings.local_batch, global = local * world;
  if (local < 1 || local > kMaxLocalBatch || world < 1 || rank < 0 || rank >= world)
    throw ConfigError("data.local_batch " + std::to_string(local) + " on rank " +
                      std::to_string(rank) + " of " + std::to_string(world) +
                      "; the batch must be 1 to " + std::to_string(kMaxLocalBatch) +
                      " and the rank below the world");
  if (settings.workers < 0)
    throw ConfigError("data.workers is " + std::to_string(settings.workers) +
                      "; 0 loads in the training thread, 1 or more in as many threads");
  if (split == Split::kTest) return (images + global - 1) / global;
  if (images < global)
    throw ConfigError(std::to_string(images) + " training images do not fill one step of " +
                      std::to_string(world) + " ranks x data.local_batch " + std::to_string(local) +
                      " = " + std::to_string(global) + "; " + remedy(images, local, world));
  return images / global;
}

}  // namespace ab
