// DeviceBatch: a batch's images, crops and labels on the device, in memory taken once.
#pragma once
#include "data/loader.h"
#include "engine/context.h"

namespace ab {

class DeviceBatch {
 public:
  // Room for `capacity` images; `image` is the side that the network sees.
  DeviceBatch(Device& device, int64_t capacity, int image, const Normalisation& normalisation);

  void upload(const HostBatch& batch);
  // A batch of given extents without content, for a dry step.
  void pretend(int64_t count, int height, int width, int channels);
  int64_t count() const { return count_; }
  int64_t first_sample() const { return first_sample_; }
  // (count, image, image, channels), cropped, flipped and normalised.
  Tensor images(Context& context) const;
  Tensor labels() const;  // (count) int32

 private:
  void reserve(size_t pixel_bytes);

  Device& device_;
  int64_t capacity_, count_ = 0, first_sample_ = 0;
  int image_, height_ = 0, width_ = 0, channels_ = 0;
  Normalisation normalisation_;
  Buffer pixels_, crops_, labels_;
};

}  // namespace ab
