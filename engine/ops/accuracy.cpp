// The counts stay on the device, so that a step can add them up without waiting for it.
#include "engine/ops/accuracy.h"

#include <stdexcept>

#include "kernels/topk.h"

namespace ab {

Tensor accuracy(Context& context, const Tensor& logits, const Tensor& labels) {
  const int64_t rows = logits.shape().rows();
  if (labels.elements() != rows || labels.dtype() != DType::kInt32)
    throw std::invalid_argument("accuracy: labels " + labels.shape().text() + " of type " +
                                name_of(labels.dtype()) + " against logits " +
                                logits.shape().text() + ": one int32 label per row");
  Tensor hits = context.make({2}, DType::kFloat32);
  const Tensor ranks = context.make({rows}, DType::kFloat32);
  count_top_hits(
      context.stream, logits.dtype(),
      {logits.data(), labels.data(), rows, logits.shape()[-1], ranks.data(), hits.data()});
  return hits;
}

}  // namespace ab
