// Loader: batches of ready images, prepared ahead by worker threads, in an order that depends on
// (seed, epoch, sample) alone.
//   Epoch e is a permutation of the dataset drawn from (seed, e). The samples of global step s are
//   the permutation's [s*G, (s+1)*G) with G = local_batch * world; rank r takes the r-th run of
//   local_batch. The tail shorter than G is left out of training; validation takes every image
//   exactly once, dealt in runs, with short or empty last batches. Augmentation draws from
//   Philox(seed, epoch, image number), never from a thread.
// An image that does not decode is an error, or with data.on_bad_image = skip: in training another
// image stands in, drawn from (seed, epoch, sample), with the augmentation of the place it takes;
// validation leaves it out. Either way the batch counts it.
// A batch holds uint8 images at the network's size plus what the crop/flip/normalise kernel needs;
// the arithmetic happens on the device (kernels/image_prepare.h).
#pragma once
#include <memory>
#include <vector>

#include "data/dataset.h"

namespace ab {

// Where the kernel reads a sample: top-left corner in the zero-padded source, and whether mirrored.
struct CropFlip {
  int32_t top = 0, left = 0, flip = 0;
};

struct HostBatch {
  int64_t count = 0;                        // valid samples, <= local_batch
  int64_t first_sample = 0;                 // position of the first one in the global batch
  int height = 0, width = 0, channels = 0;  // of the stored pixels (before the crop)
  std::vector<uint8_t> pixels;              // (count, height, width, channels)
  std::vector<CropFlip> crops;              // (count)
  std::vector<int32_t> labels;              // (count)
  std::vector<int64_t> samples;             // (count) image numbers
  int64_t skipped = 0;                      // images that did not decode
  std::string first_skipped;                // what was wrong with the first of them
};

// mean and 1/std per channel in units of 0..1, padding of the crop.
struct Normalisation {
  float mean[3] = {}, inverse_std[3] = {};
  int padding = 0;
};
Normalisation normalisation_of(const DataSettings& settings);

// The permutation of epoch e.
std::vector<int64_t> epoch_order(int64_t images, uint64_t seed, int64_t epoch);

class Loader {
 public:
  Loader(const Dataset& dataset, const DataSettings& settings, Split split, int rank, int world);
  ~Loader();
  Loader(const Loader&) = delete;

  int64_t steps_per_epoch() const;  // training: floor(images / G); validation: ceil
  // Goes to the given place (resume, a new epoch); prefetching begins.
  void seek(int64_t epoch, int64_t step);
  // The next batch; valid until the following call. Rethrows a worker's DataError.
  const HostBatch& next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ab
