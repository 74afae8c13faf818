#include "tools/train/device_batch.h"

#include <algorithm>

#include "engine/ops/image_prepare.h"

namespace ab {

static_assert(sizeof(CropFlip) == 3 * sizeof(int32_t), "the kernel reads three int32 per sample");

DeviceBatch::DeviceBatch(Device& device, int64_t capacity, int image,
                         const Normalisation& normalisation)
    : device_(device),
      capacity_(capacity),
      image_(image),
      normalisation_(normalisation),
      crops_(device, static_cast<size_t>(capacity) * sizeof(CropFlip)),
      labels_(device, static_cast<size_t>(capacity) * sizeof(int32_t)) {}

void DeviceBatch::reserve(size_t pixel_bytes) {
  if (pixels_.bytes() < pixel_bytes) {
    pixels_ = Buffer();
    pixels_ = Buffer(device_, pixel_bytes);
  }
}

void DeviceBatch::upload(const HostBatch& batch) {
  pretend(batch.count, batch.height, batch.width, batch.channels);
  first_sample_ = batch.first_sample;
  Runtime& runtime = device_.runtime();
  const Stream stream = device_.stream();
  const size_t count = static_cast<size_t>(batch.count);
  runtime.copy_to_device(stream, pixels_.data(), batch.pixels.data(),
                         count * height_ * width_ * channels_);
  runtime.copy_to_device(stream, crops_.data(), batch.crops.data(), count * sizeof(CropFlip));
  runtime.copy_to_device(stream, labels_.data(), batch.labels.data(), count * sizeof(int32_t));
}

void DeviceBatch::pretend(int64_t count, int height, int width, int channels) {
  count_ = count;
  height_ = height;
  width_ = width;
  channels_ = channels;
  reserve(static_cast<size_t>(capacity_) * height * width * channels);
}

Tensor DeviceBatch::images(Context& context) const {
  ImagePrepare s;
  s.batch = count_;
  s.height = height_;
  s.width = width_;
  s.channels = channels_;
  s.padding = normalisation_.padding;
  s.out_height = s.out_width = image_;
  std::copy_n(normalisation_.mean, 3, s.mean);
  std::copy_n(normalisation_.inverse_std, 3, s.inverse_std);
  return prepare_images(context, pixels_.data(), crops_.data(), s);
}

Tensor DeviceBatch::labels() const {
  return Tensor(labels_.data(), {count_}, DType::kInt32);
}

}  // namespace ab
