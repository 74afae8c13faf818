#include "distributed/reducer.h"

#include <algorithm>
#include <stdexcept>

#include "engine/error.h"
#include "kernels/cast.h"
#include "kernels/elementwise.h"

namespace ab {

std::vector<BucketRange> cut_buckets(const std::vector<int64_t>& sizes, int64_t bucket_elements) {
  std::vector<BucketRange> buckets;
  int64_t first = 0;
  for (const int64_t size : sizes) first += size;
  for (auto size = sizes.rbegin(); size != sizes.rend(); ++size) {
    first -= *size;
    if (buckets.empty() || buckets.back().elements + *size > bucket_elements)
      buckets.push_back({first, 0, 0});
    BucketRange& bucket = buckets.back();
    bucket.first = first;
    bucket.elements += *size;
    ++bucket.parameters;
  }
  return buckets;
}

GradientReducer::GradientReducer(ParameterStore& store, Communicator& communicator,
                                 int64_t bucket_bytes, DType reduce_dtype)
    : store_(store),
      communicator_(communicator),
      reduce_dtype_(reduce_dtype),
      wait_(store.device().runtime().stopwatch()) {
  if (reduce_dtype != DType::kFloat32 && reduce_dtype != DType::kBFloat16)
    throw ConfigError(std::string("comm.reduce_dtype ") + name_of(reduce_dtype) +
                      ": gradients are reduced in fp32 or bf16");
  for (const Parameter& parameter : store.parameters())
    if (parameter.present && parameter.trainable) parameters_.push_back(&parameter);
  std::sort(parameters_.begin(), parameters_.end(), [](const Parameter* a, const Parameter* b) {
    return a->gradient_offset < b->gradient_offset;
  });
  std::vector<int64_t> sizes;
  for (const Parameter* parameter : parameters_) sizes.push_back(parameter->shape.elements());
  buckets_ = cut_buckets(sizes, bucket_bytes / static_cast<int64_t>(size_of(reduce_dtype)));
  bucket_of_.resize(parameters_.size());
  size_t last = parameters_.size();
  for (size_t b = 0; b < buckets_.size(); ++b)
    for (int i = 0; i < buckets_[b].parameters; ++i) bucket_of_[--last] = b;
  pending_.resize(buckets_.size());
  if (reduce_dtype != DType::kFloat32)
    narrow_ = Buffer(store.device(),
                     static_cast<size_t>(store.trainable_elements()) * size_of(reduce_dtype));
  begin_step();
}

void GradientReducer::begin_step() {
  ready_.assign(parameters_.size(), 0);
  missing_.clear();
  for (const BucketRange& bucket : buckets_) missing_.push_back(bucket.parameters);
  for (auto& pending : pending_) pending.reset();  // of a step that was given up
  next_ = 0;
  wait_->reset();
}

size_t GradientReducer::index_of(const Parameter& parameter) const {
  const auto place = std::lower_bound(
      parameters_.begin(), parameters_.end(), parameter.gradient_offset,
      [](const Parameter* p, int64_t offset) { return p->gradient_offset < offset; });
  if (place == parameters_.end() || *place != &parameter)
    throw std::logic_error("reducer: " + parameter.name +
                           " was not trainable when the reducer was made; make a new one after a "
                           "layout change");
  return static_cast<size_t>(place - parameters_.begin());
}

void GradientReducer::ready(const Parameter& parameter) {
  const size_t index = index_of(parameter);
  if (ready_[index])
    throw std::logic_error("reducer: " + parameter.name + " is ready a second time in one step");
  ready_[index] = 1;
  --missing_[bucket_of_[index]];
  send_full_buckets();
}

void GradientReducer::send_full_buckets() {
  for (; next_ < buckets_.size() && missing_[next_] == 0; ++next_) send(next_);
}

DevicePtr GradientReducer::values(const BucketRange& bucket) const {
  return store_.gradients().data().plus_bytes(static_cast<size_t>(bucket.first) * sizeof(float));
}

DevicePtr GradientReducer::narrow(const BucketRange& bucket) const {
  return narrow_.data().plus_bytes(static_cast<size_t>(bucket.first) * size_of(reduce_dtype_));
}

void GradientReducer::send(size_t b) {
  const BucketRange& bucket = buckets_[b];
  const Stream stream = store_.device().stream();
  const bool narrows = reduce_dtype_ != DType::kFloat32;
  if (narrows)
    cast(stream, bucket.elements, values(bucket), DType::kFloat32, narrow(bucket), reduce_dtype_);
  pending_[b] = communicator_.start_all_reduce(Purpose::kGradients, stream,
                                               narrows ? narrow(bucket) : values(bucket),
                                               bucket.elements, reduce_dtype_);
}

// After its wait: the mean, back in the flat gradients.
void GradientReducer::receive(size_t b) {
  const BucketRange& bucket = buckets_[b];
  const Stream stream = store_.device().stream();
  if (reduce_dtype_ != DType::kFloat32)
    cast(stream, bucket.elements, narrow(bucket), reduce_dtype_, values(bucket), DType::kFloat32);
  if (communicator_.size() > 1)
    scale(stream, DType::kFloat32, bucket.elements, values(bucket),
          1.0f / static_cast<float>(communicator_.size()));
}

void GradientReducer::finish_step() {
  Device& device = store_.device();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (ready_[i]) continue;
    const Tensor& gradient = parameters_[i]->gradient;  // still holds an earlier step's
    device.runtime().zero(device.stream(), gradient.data(), gradient.bytes());
    ready_[i] = 1;
    --missing_[bucket_of_[i]];
  }
  send_full_buckets();
  for (size_t b = 0; b < buckets_.size(); ++b) {
    wait_->start(device.stream());
    pending_[b]->wait();
    wait_->stop(device.stream());
    pending_[b].reset();
    receive(b);
  }
}

}  // namespace ab
