// Gradient reducer: averages gradients over a communicator in buckets while backward goes on.
// Buckets are slices of the flat gradient buffer, at most bucket_bytes, cut at parameter borders
// and counted from the end of the registration order, because backward finishes the last layer
// first. A bucket is sent as soon as all its parameters are ready AND all buckets before it have
// been sent, so the order is the same on every rank. A parameter larger than a bucket has one to
// itself. Sums are in reduce_dtype; the division by the number of ranks is in fp32.
// Buckets travel in the order of the device's compute stream, which goes on after finish_step()
// with the averages.
#pragma once
#include <memory>
#include <vector>

#include "distributed/communicator.h"
#include "distributed/gradient_exchange.h"

namespace ab {

struct BucketRange {
  int64_t first = 0, elements = 0;  // slice of the flat gradients
  int parameters = 0;               // how many have to be ready
};

// The buckets of a store's present layout; pure, shared with the planner. sizes: trainable
// parameters' element counts in layout order.
std::vector<BucketRange> cut_buckets(const std::vector<int64_t>& sizes, int64_t bucket_elements);

class GradientReducer : public GradientExchange {
 public:
  // Uses the store's layout as it is now; make a new reducer after a layout change.
  GradientReducer(ParameterStore& store, Communicator& communicator, int64_t bucket_bytes,
                  DType reduce_dtype);
  GradientReducer(const GradientReducer&) = delete;

  void begin_step() override;
  void ready(const Parameter& parameter) override;
  // Sends what is left, waits for all, divides by the number of ranks.
  void finish_step() override;
  double waited_s() const override { return wait_->seconds(); }
  const std::vector<BucketRange>& buckets() const { return buckets_; }

 private:
  void send_full_buckets();
  void send(size_t bucket);
  void receive(size_t bucket);
  DevicePtr values(const BucketRange& bucket) const;
  DevicePtr narrow(const BucketRange& bucket) const;
  size_t index_of(const Parameter& parameter) const;

  ParameterStore& store_;
  Communicator& communicator_;
  DType reduce_dtype_;
  std::vector<BucketRange> buckets_;
  std::vector<const Parameter*> parameters_;  // trainable, in layout order
  std::vector<size_t> bucket_of_;             // by parameter
  std::vector<char> ready_;                   // by parameter
  std::vector<int> missing_;                  // by bucket
  Buffer narrow_;                             // gradients in bf16, where that is what travels
  std::unique_ptr<Stopwatch> wait_;
  std::vector<std::unique_ptr<Pending>> pending_;  // by bucket; gone before what they write to
  size_t next_ = 0;
};

}  // namespace ab
