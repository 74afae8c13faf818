// DeviceBatch: a batch's images, crops and labels on the device, in memory taken once. Batches
// arrive on the copy queue, in a place of their own, while the step before computes; take() moves
// one to where steps read it. Events hold both ways: it is taken when it has arrived, and the next
// one may arrive when it has been taken.
#pragma once
#include "data/loader.h"
#include "engine/context.h"

namespace ab {

class DeviceBatch {
 public:
  // Room for `capacity` images; `image` is the side that the network sees.
  DeviceBatch(Device& device, int64_t capacity, int image, const Normalisation& normalisation);

  ~DeviceBatch();
  DeviceBatch(const DeviceBatch&) = delete;

  // `batch` may change when this returns.
  void send(const HostBatch& batch);
  // The batch that was sent last is the one from here on.
  void take();
  void upload(const HostBatch& batch) {
    send(batch);
    take();
  }
  // A batch of given extents without content, for a dry step.
  void pretend(int64_t count, int height, int width, int channels);
  int64_t count() const { return now_.count; }
  int64_t first_sample() const { return now_.first_sample; }
  // (count, image, image, channels), cropped, flipped and normalised.
  Tensor images(Context& context) const;
  Tensor labels() const;  // (count) int32

 private:
  struct Place {
    Buffer pixels, crops, labels;
    int64_t count = 0, first_sample = 0;
    int height = 0, width = 0, channels = 0;

    size_t pixel_bytes() const { return static_cast<size_t>(count) * height * width * channels; }
  };
  void reserve(size_t pixel_bytes);

  Device& device_;
  int64_t capacity_;
  int image_;
  Normalisation normalisation_;
  Place arriving_, now_;
  std::unique_ptr<Event> arrived_, taken_;
};

}  // namespace ab
