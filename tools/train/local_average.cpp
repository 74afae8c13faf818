#include "tools/train/local_average.h"

#include "distributed/tensor_collectives.h"

namespace ab {
namespace {

Tensor copy_of(Replica& replica, const Tensor& from) {
  if (!from) return Tensor();
  Tensor copy(replica.border, from.shape(), from.dtype());
  replica.device.runtime().copy(replica.device.stream(), copy.data(), from.data(), from.bytes());
  return copy;
}

}  // namespace

void LocalAverage::average_weights() {
  const Stream stream = replica_.device.stream();
  ab::average(stream, world_, Purpose::kAverageWeights, replica_.store.values());
  if (const Tensor statistics = replica_.store.buffer_values())
    ab::average(stream, world_, Purpose::kMergeStatistics, statistics);
  replica_.store.refresh_compute(stream);
}

void LocalAverage::average() {
  world_.ledger().set_phase(Phase::kMerge);
  average_weights();
  if (moments_)
    for (const Tensor& moment : {replica_.adamw.first_moment(), replica_.adamw.second_moment()})
      ab::average(replica_.device.stream(), world_, Purpose::kAverageMoments, moment);
  check_.whole("after averaging weights");
}

LocalAverage::Borrowed::Borrowed(LocalAverage& of)
    : of_(of),
      weights_(copy_of(of.replica_, of.replica_.store.values())),
      statistics_(copy_of(of.replica_, of.replica_.store.buffer_values())) {
  of_.average_weights();
}

LocalAverage::Borrowed::~Borrowed() {
  Replica& replica = of_.replica_;
  const Stream stream = replica.device.stream();
  Runtime& runtime = replica.device.runtime();
  runtime.copy(stream, replica.store.values().data(), weights_.data(), weights_.bytes());
  if (statistics_)
    runtime.copy(stream, replica.store.buffer_values().data(), statistics_.data(),
                 statistics_.bytes());
  replica.store.refresh_compute(stream);
  weights_ = statistics_ = Tensor();
  replica.border.reset();
}

}  // namespace ab
