// ImageReader: reads an image of the dataset, or does what data.on_bad_image says about one that
// does not decode (BadImage).
//   stop  the error goes on
//   skip  training: another image stands in, drawn from (seed, epoch, sample) alone, up to sixteen
//         times; validation goes without
// So what a step sees depends neither on the ranks nor on who reads first.
#pragma once
#include "data/dataset.h"
#include "data/loader.h"

namespace ab {

class ImageReader {
 public:
  // Throws ConfigError for an unknown policy.
  ImageReader(const Dataset& dataset, const DataSettings& settings, Split split);

  // Fills `image` and returns its number: `sample`, its stand-in's, or -1. `problem` is empty when
  // the image was whole.
  int64_t read(int64_t epoch, int64_t sample, Image& image, std::string& problem) const;

 private:
  int64_t stand_in(int64_t epoch, int64_t sample, Image& image) const;

  const Dataset& dataset_;
  bool skip_, training_;
  uint64_t seed_;
};

// Takes the samples numbered -1 out of a batch.
void drop_skipped(HostBatch& batch);

}  // namespace ab
