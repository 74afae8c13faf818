#include "data/bad_images.h"

#include <algorithm>

#include "data/decode.h"
#include "data/order.h"
#include "engine/error.h"

namespace ab {

namespace {

bool skips(const DataSettings& settings) {
  if (settings.on_bad_image == "skip") return true;
  if (settings.on_bad_image == "stop") return false;
  throw ConfigError("data.on_bad_image is \"" + settings.on_bad_image + "\"; known: stop, skip");
}

}  // namespace

ImageReader::ImageReader(const Dataset& dataset, const DataSettings& settings, Split split)
    : dataset_(dataset),
      skip_(skips(settings)),
      training_(split == Split::kTrain),
      seed_(settings.seed) {}

int64_t ImageReader::read(int64_t epoch, int64_t sample, Image& image, std::string& problem) const {
  problem.clear();
  try {
    dataset_.read(sample, image);
    return sample;
  } catch (const BadImage& bad) {
    if (!skip_) throw;
    problem = bad.what();
  }
  return training_ ? stand_in(epoch, sample, image) : -1;
}

int64_t ImageReader::stand_in(int64_t epoch, int64_t sample, Image& image) const {
  for (int attempt = 0;; ++attempt) {
    const int64_t other = substitute_of(dataset_.size(), seed_, epoch, sample, attempt);
    try {
      dataset_.read(other, image);
      return other;
    } catch (const BadImage& bad) {
      if (attempt + 1 == kSubstituteTries)
        throw DataError(
            std::to_string(kSubstituteTries) +
            " images drawn in place of a damaged one are damaged too; the last: " + bad.what());
    }
  }
}

void drop_skipped(HostBatch& batch) {
  const size_t bytes = static_cast<size_t>(batch.height) * batch.width * batch.channels;
  size_t kept = 0;
  for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i) {
    if (batch.samples[i] < 0) continue;
    if (kept != i)
      std::copy_n(batch.pixels.begin() + static_cast<ptrdiff_t>(i * bytes), bytes,
                  batch.pixels.begin() + static_cast<ptrdiff_t>(kept * bytes));
    batch.crops[kept] = batch.crops[i];
    batch.labels[kept] = batch.labels[i];
    batch.samples[kept++] = batch.samples[i];
  }
  batch.count = static_cast<int64_t>(kept);
  batch.pixels.resize(kept * bytes);
  batch.crops.resize(kept);
  batch.labels.resize(kept);
  batch.samples.resize(kept);
}

}  // namespace ab
