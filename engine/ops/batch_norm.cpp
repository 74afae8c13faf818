// Synchronised statistics cost two all-reduces of C floats forward and one of 2 C backward:
//   mean = sum of local means / R;   M2 = sum of (M2_r + rows (mean_r - mean)^2)   (Chan et al.,
//   1983) dx needs [sum dz | sum dz xhat] over all replicas; dgamma and dbeta take the local sums,
//   since the gradient reducer averages them with all others.
#include "engine/ops/batch_norm.h"

#include <stdexcept>

#include "kernels/batch_norm.h"

namespace ab {
namespace {

constexpr DType kFloat = DType::kFloat32;

struct Statistics {
  Tensor mean, rstd;    // fp32 (C)
  float inverse_count;  // 1 / rows over all replicas; 0: constants, no gradient flows through them
};

// What backward needs to know of the pass before it.
struct SavedBatchNorm {
  Tensor x, y;  // y only where the ReLU's sign cannot be recomputed from x
  Statistics statistics;
  Parameter *gamma, *beta;
  ReplicaSum* replicas;  // null: local statistics
  bool relu;
  int slot, residual_slot;
};

int64_t channels_of(const Tensor& x) {
  return x.shape()[-1];
}

Tensor scratch_for(Arena& arena, const Tensor& x) {
  const size_t bytes = batch_norm_scratch_bytes(x.shape().rows(), channels_of(x));
  return Tensor(arena, {static_cast<int64_t>(bytes)}, DType::kUint8);
}

ReplicaSum* shared_by(const Context& context) {
  const bool shared = context.training && context.statistics && context.statistics->replicas() > 1;
  return shared ? context.statistics : nullptr;
}

// Replaces this rank's mean and M2 by those of all replicas.
void synchronise(Context& context, ReplicaSum& replicas, int64_t rows, const Tensor& mean,
                 const Tensor& m2) {
  const int64_t channels = mean.elements();
  const Tensor local = context.make({channels}, kFloat);
  context.device.runtime().copy(context.stream, local.data(), mean.data(), mean.bytes());
  replicas.sum(context.stream, mean.data(), channels);
  batch_norm_merge(context.stream,
                   {local.data(), mean.data(), m2.data(), rows, channels, replicas.replicas()});
  replicas.sum(context.stream, m2.data(), channels);
}

Statistics batch_statistics(Context& context, const Tensor& x, const BatchNormParameters& p) {
  const int64_t rows = x.shape().rows(), channels = channels_of(x);
  ReplicaSum* replicas = shared_by(context);
  Statistics s{context.make({channels}, kFloat), context.make({channels}, kFloat), 0.0f};
  const Tensor m2 = context.make({channels}, kFloat), scratch = scratch_for(context.arena, x);
  batch_norm_statistics(context.stream, x.dtype(),
                        {x.data(), rows, channels, scratch.data(), s.mean.data(), m2.data()});
  if (replicas) synchronise(context, *replicas, rows, s.mean, m2);
  const int64_t count = rows * (replicas ? replicas->replicas() : 1);
  batch_norm_finish(context.stream,
                    {s.mean.data(), m2.data(), channels, count, p.epsilon, p.momentum,
                     s.rstd.data(), p.running_mean.value.data(), p.running_var.value.data()});
  s.inverse_count = 1.0f / static_cast<float>(count);
  return s;
}

Statistics running_statistics(Context& context, const BatchNormParameters& p) {
  const Tensor& mean = p.running_mean.value;
  const Tensor& variance = p.running_var.value;
  Statistics s{mean, context.make(mean.shape(), kFloat), 0.0f};
  batch_norm_finish(context.stream, {mean.data(), variance.data(), mean.elements(), 1, p.epsilon,
                                     p.momentum, s.rstd.data(), DevicePtr(), DevicePtr()});
  return s;
}

BatchNormGradient gradient_arguments(const SavedBatchNorm& s, const Tensor& dy) {
  return {s.x.data(),
          s.y.data(),
          dy.data(),
          s.statistics.mean.data(),
          s.statistics.rstd.data(),
          s.gamma->value.data(),
          s.beta->value.data(),
          s.x.shape().rows(),
          channels_of(s.x),
          s.relu};
}

// The sums over this rank's rows, which are the parameters' gradients too.
void backward_sums(Tape& tape, Arena& arena, Stream stream, const SavedBatchNorm& s,
                   const BatchNormGradient& arguments, const Tensor& sums) {
  const Tensor scratch = scratch_for(arena, s.x);
  BatchNormSums out{scratch.data(), sums.data(), DevicePtr(), DevicePtr(), 0.0f, 0.0f};
  if (s.gamma->trainable) {
    out.dgamma = s.gamma->gradient.data();
    out.keep_dgamma = tape.claim_gradient(*s.gamma);
  }
  if (s.beta->trainable) {
    out.dbeta = s.beta->gradient.data();
    out.keep_dbeta = tape.claim_gradient(*s.beta);
  }
  batch_norm_backward_sums(stream, s.x.dtype(), arguments, out);
  for (Parameter* parameter : {s.gamma, s.beta})
    if (parameter->trainable) tape.finish_use(*parameter);
}

void backward(Tape& tape, Arena& arena, Stream stream, const SavedBatchNorm& s) {
  Tensor dy = tape.take_gradient(s.slot);
  if (!dy) {
    for (Parameter* parameter : {s.gamma, s.beta})
      if (parameter->trainable) tape.finish_use(*parameter);
    return;
  }
  const BatchNormGradient arguments = gradient_arguments(s, dy);
  const Tensor sums(arena, {2, channels_of(s.x)}, kFloat);
  backward_sums(tape, arena, stream, s, arguments, sums);
  const bool wants_x = s.x.slot >= 0, wants_residual = s.residual_slot >= 0;
  if (!wants_x && !wants_residual) return;
  if (s.replicas) s.replicas->sum(stream, sums.data(), sums.elements());
  Tensor dx, dresidual;
  if (wants_x) dx = Tensor(arena, s.x.shape(), s.x.dtype());
  if (wants_residual && s.relu) dresidual = Tensor(arena, s.x.shape(), s.x.dtype());
  if (dx || dresidual)
    batch_norm_backward_apply(
        stream, s.x.dtype(), arguments,
        {sums.data(), s.statistics.inverse_count, dx.data(), dresidual.data()});
  if (wants_x) tape.give_gradient(stream, s.x, std::move(dx));
  if (wants_residual)  // without a ReLU dz is dy itself, which nobody needs any more
    tape.give_gradient(stream, s.residual_slot, s.relu ? std::move(dresidual) : std::move(dy));
}

void check(const Tensor& x, const BatchNormParameters& p, const Tensor* residual) {
  for (const Parameter* vector : {&p.gamma, &p.beta, &p.running_mean, &p.running_var})
    if (vector->shape.elements() != channels_of(x))
      throw std::invalid_argument("batch_norm: " + vector->name + " " + vector->shape.text() +
                                  " against x " + x.shape().text() + ": one value per channel");
  if (residual && (residual->shape() != x.shape() || residual->dtype() != x.dtype()))
    throw std::invalid_argument("batch_norm: residual " + residual->shape().text() +
                                " is added to x " + x.shape().text());
}

}  // namespace

Tensor batch_norm(Context& context, const Tensor& x, const BatchNormParameters& p, bool relu,
                  const Tensor* residual) {
  check(x, p, residual);
  Statistics statistics =
      context.training ? batch_statistics(context, x, p) : running_statistics(context, p);
  Tensor y = context.make(x.shape(), x.dtype());
  batch_norm_apply(context.stream, x.dtype(),
                   {x.data(), residual ? residual->data() : DevicePtr(), y.data(),
                    statistics.mean.data(), statistics.rstd.data(), p.gamma.value.data(),
                    p.beta.value.data(), x.shape().rows(), channels_of(x), relu});
  const int residual_slot = residual ? residual->slot : -1;
  const bool trains = p.gamma.trainable || p.beta.trainable;
  if (!context.tape || !(x.slot >= 0 || residual_slot >= 0 || trains)) return y;
  context.tape->track(y);
  for (Parameter* parameter : {&p.gamma, &p.beta})
    if (parameter->trainable) context.tape->use(*parameter);
  context.tape->record(
      [tape = context.tape, arena = &context.arena, stream = context.stream,
       saved = SavedBatchNorm{x, relu && residual ? y : Tensor(), std::move(statistics), &p.gamma,
                              &p.beta, shared_by(context), relu, y.slot, residual_slot}] {
        backward(*tape, *arena, stream, saved);
      });
  return y;
}

}  // namespace ab
