// One step of Algorithm 1, from its batch to its line in metrics.jsonl.
#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/ranges.h"
#include "tools/train/trainer.h"

namespace ab {

void Trainer::train_step(int64_t step) {
  const Range range(in_.device.runtime(), name_of(span_.phase));
  const double begin = now();
  StepRecord record;
  send_batch(step);
  count_skipped();
  batch_.take();
  record.lr = learning_rate(lr_settings(in_.config, in_.resolved), step,
                            steps_since_border(plan_.spans, step));
  replica_.begin_step(step, record.lr);
  graph_.run(batch_, [this, step] { lay_out_step(step); });
  send_ahead(step + 1);
  const StepResult result = [&] {
    const auto span = timed("wait for the device", step);
    return replica_.result();
  }();
  record.loss = result.loss;
  record.grad_norm = result.grad_norm;
  record.comm_wait_s = exchange_->waited_s();
  if (!std::isfinite(record.loss) || !std::isfinite(record.grad_norm))
    stop_non_finite(step, record.loss);
  record.step = step + 1;
  record.step_s = last_step_s_ = now() - begin;
  if (step > 0) {  // the first step lays out memory and builds primitives
    step_seconds_ += record.step_s;
    ++timed_steps_;
  }
  if (record.step % in_.config.train.log_every == 0 || record.step == in_.resolved.total_steps)
    log_step(record);
}

// The device's part of a step, the same in every step of a phase.
void Trainer::lay_out_step(int64_t step) {
  {
    const auto span = timed("forward and backward", step);
    exchange_->begin_step();
    replica_.forward_backward(batch_, statistics_.get());
  }
  {
    const auto span = timed("wait for gradients", step);
    exchange_->finish_step();
  }
  const auto span = timed("update", step);
  replica_.update();
}

void Trainer::send_batch(int64_t step) {
  if (sent_ == step) return;
  const auto span = timed("load", step);
  const HostBatch& batch = loader_.next();
  batch_.send(batch);
  sent_ = step;
  sent_skipped_ = batch.skipped;
  sent_first_skipped_ = batch.first_skipped;
}

// A batch that was sent ahead counts in its own step, so that a checkpoint between agrees.
void Trainer::count_skipped() {
  if (sent_skipped_ > 0 && skipped_ == 0 && in_.progress)
    in_.progress->note("warning: another image stands in for the first that does not decode: " +
                       sent_first_skipped_);
  skipped_ += sent_skipped_;
}

// A step's batch travels while the step before computes.
void Trainer::send_ahead(int64_t step) {
  if (step == in_.resolved.total_steps) return;
  try {
    send_batch(step);
  } catch (const DataError&) {
    // The loader says so again when the batch is wanted; the step under way ends first.
  }
}

void Trainer::log_step(StepRecord record) {
  Communicator& communicator = gradient_communicator();
  communicator.all_reduce(Purpose::kMetrics, &record.loss, 1, DType::kFloat64);
  record.loss /= communicator.size();
  if (!in_.folder) return;
  record.epoch = static_cast<double>(record.step) / in_.resolved.steps_per_epoch;
  record.phase = name_of(span_.phase);
  record.cycle = span_.cycle;
  record.images_per_s = in_.resolved.global_batch / record.step_s;
  in_.folder->write_step(record);
  ProgressState state;
  state.step = record.step;
  state.total = in_.resolved.total_steps;
  state.phase = record.phase;
  state.cycle = record.cycle;
  state.loss = record.loss;
  state.lr = record.lr;
  state.images_per_s = record.images_per_s;
  in_.progress->update(state);
}

// Every rank that averages gradients together sees the same sum, so all of them come here. The
// first whose own batch went wrong tells what it found; the others wait for it to end the run.
void Trainer::stop_non_finite(int64_t step, double loss) {
  const std::string layer = replica_.first_non_finite_layer(batch_);
  Communicator& together = gradient_communicator();
  std::vector<double> found(static_cast<size_t>(together.size()), 0.0);
  found[static_cast<size_t>(together.rank())] = layer.empty() ? 0.0 : 1.0;
  together.all_reduce(Purpose::kMetrics, found.data(), together.size(), DType::kFloat64);
  const auto first_found = std::find(found.begin(), found.end(), 1.0);
  const auto speaker = first_found == found.end() ? 0 : first_found - found.begin();
  if (together.rank() != speaker)
    together.all_reduce(Purpose::kMetrics, found.data(), 1, DType::kFloat64);
  const std::string where = "step " + std::to_string(step + 1) + ", phase " + name_of(span_.phase) +
                            ", rank " + std::to_string(in_.world.rank());
  const std::string what =
      std::isfinite(loss) ? "a gradient is not finite" : "the loss is not finite";
  const std::string first =
      layer.empty() ? "every layer's output here is finite" : "first concerned: " + layer;
  throw NonFiniteError(what + " at " + where + "; " + first +
                       "; a lower adamw.lr or train.clip_norm may help");
}

}  // namespace ab
