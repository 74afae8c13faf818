#include "engine/ops/loss.h"

#include <stdexcept>

#include "kernels/cross_entropy.h"

namespace ab {
namespace {

void check(const Tensor& logits, const Tensor& labels, float smoothing) {
  if (logits.shape().rank() < 2 || labels.dtype() != DType::kInt32 ||
      labels.elements() != logits.shape().rows())
    throw std::invalid_argument("cross-entropy: logits " + logits.shape().text() + " need " +
                                "one int32 label per row, not " + labels.shape().text() + " " +
                                name_of(labels.dtype()));
  if (!(smoothing >= 0.0f && smoothing < 1.0f))
    throw std::invalid_argument("label smoothing " + std::to_string(smoothing) +
                                ": must be at least 0 and below 1");
}

}  // namespace

Tensor cross_entropy(Context& context, const Tensor& logits, const Tensor& labels,
                     float smoothing) {
  check(logits, labels, smoothing);
  const int64_t rows = logits.shape().rows();
  const Tensor statistics = context.make({rows, 2}, DType::kFloat32);
  const Tensor row_loss = context.make({rows}, DType::kFloat32);
  Tensor loss = context.make({1}, DType::kFloat32);
  const CrossEntropy arguments{rows,          logits.shape()[-1], logits.data(),
                               labels.data(), statistics.data(),  smoothing};
  cross_entropy_forward(context.stream, logits.dtype(), arguments, row_loss.data(), loss.data());
  if (!context.wants(logits)) return loss;
  Tape* tape = context.tape;
  tape->record([tape, stream = context.stream, arena = &context.arena, logits, labels, statistics,
                arguments] {
    Tensor dlogits(*arena, logits.shape(), logits.dtype());
    cross_entropy_backward(stream, logits.dtype(), arguments, dlogits.data(), 1.0f);
    tape->give_gradient(stream, logits, std::move(dlogits));
  });
  return loss;
}

}  // namespace ab
