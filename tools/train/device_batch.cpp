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
      arrived_(device.runtime().event()),
      taken_(device.runtime().event()) {
  for (Place* place : {&arriving_, &now_}) {
    place->crops = Buffer(device, static_cast<size_t>(capacity) * sizeof(CropFlip));
    place->labels = Buffer(device, static_cast<size_t>(capacity) * sizeof(int32_t));
  }
  taken_->record(device.stream());  // the memory is there
}

// A batch may still be arriving; memory is released in the order of the compute queue.
DeviceBatch::~DeviceBatch() {
  try {
    arrived_->wait(device_.stream());
  } catch (const DeviceError&) {
    // The device is beyond order already.
  }
}

void DeviceBatch::reserve(size_t pixel_bytes) {
  if (now_.pixels.bytes() >= pixel_bytes) return;
  arrived_->wait(device_.stream());
  for (Place* place : {&arriving_, &now_}) {
    place->pixels = Buffer();
    place->pixels = Buffer(device_, pixel_bytes);
  }
  taken_->record(device_.stream());
}

void DeviceBatch::send(const HostBatch& batch) {
  arriving_.count = batch.count;
  arriving_.first_sample = batch.first_sample;
  arriving_.height = batch.height;
  arriving_.width = batch.width;
  arriving_.channels = batch.channels;
  reserve(static_cast<size_t>(capacity_) * batch.height * batch.width * batch.channels);
  Runtime& runtime = device_.runtime();
  const Stream queue = runtime.queue(Queue::kCopy);
  const size_t count = static_cast<size_t>(batch.count);
  taken_->wait(queue);
  runtime.copy_to_device(queue, arriving_.pixels.data(), batch.pixels.data(),
                         arriving_.pixel_bytes());
  runtime.copy_to_device(queue, arriving_.crops.data(), batch.crops.data(),
                         count * sizeof(CropFlip));
  runtime.copy_to_device(queue, arriving_.labels.data(), batch.labels.data(),
                         count * sizeof(int32_t));
  arrived_->record(queue);
}

void DeviceBatch::take() {
  Runtime& runtime = device_.runtime();
  const Stream stream = device_.stream();
  const size_t count = static_cast<size_t>(arriving_.count);
  arrived_->wait(stream);
  runtime.copy(stream, now_.pixels.data(), arriving_.pixels.data(), arriving_.pixel_bytes());
  runtime.copy(stream, now_.crops.data(), arriving_.crops.data(), count * sizeof(CropFlip));
  runtime.copy(stream, now_.labels.data(), arriving_.labels.data(), count * sizeof(int32_t));
  taken_->record(stream);
  pretend(arriving_.count, arriving_.height, arriving_.width, arriving_.channels);
  now_.first_sample = arriving_.first_sample;
}

void DeviceBatch::pretend(int64_t count, int height, int width, int channels) {
  now_.count = count;
  now_.height = height;
  now_.width = width;
  now_.channels = channels;
  reserve(static_cast<size_t>(capacity_) * height * width * channels);
}

Tensor DeviceBatch::images(Context& context) const {
  ImagePrepare s;
  s.batch = now_.count;
  s.height = now_.height;
  s.width = now_.width;
  s.channels = now_.channels;
  s.padding = normalisation_.padding;
  s.out_height = s.out_width = image_;
  std::copy_n(normalisation_.mean, 3, s.mean);
  std::copy_n(normalisation_.inverse_std, 3, s.inverse_std);
  return prepare_images(context, now_.pixels.data(), now_.crops.data(), s);
}

Tensor DeviceBatch::labels() const {
  return Tensor(now_.labels.data(), {now_.count}, DType::kInt32);
}

}  // namespace ab
