#include "tools/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "distributed/groups.h"
#include "engine/error.h"

namespace ab {
namespace {

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

Phase ledger_phase(StepPhase phase) {
  if (phase == StepPhase::kAb) return Phase::kAb;
  return phase == StepPhase::kWarmup ? Phase::kWarmup : Phase::kRebound;
}

std::unique_ptr<Communicator> make_group(const TrainerInput& in) {
  if (method_of(in.config) != Method::kAb) return nullptr;
  return in.world.split(group_of(in.world.rank(), in.resolved.group_size), "group");
}

GroupPlace place_of(const TrainerInput& in, Communicator* group) {
  GroupPlace place;
  place.communicator = group ? group : &in.world;
  if (!group) return place;
  place.count = in.resolved.groups;
  place.index = group_of(in.world.rank(), in.resolved.group_size);
  place.trains_a = trains_a(place.index, place.count);
  return place;
}

}  // namespace

Trainer::Trainer(const TrainerInput& input)
    : in_(input),
      plan_(make_run_plan(in_.config, in_.resolved)),
      method_(method_of(in_.config)),
      group_(make_group(in_)),
      place_(place_of(in_, group_.get())),
      replica_(in_.config, in_.resolved, in_.device),
      border_(in_.config, replica_, in_.world, place_),
      loader_(in_.train, data_settings(in_.config, in_.resolved), Split::kTrain, in_.world.rank(),
              in_.world.size()),
      batch_(in_.device, in_.resolved.local_batch, *in_.config.model.image,
             normalisation_of(data_settings(in_.config, in_.resolved))),
      evaluation_(in_.test, data_settings(in_.config, in_.resolved), replica_, in_.world) {
  result_.params_full = result_.params_now = replica_.full_elements;
}

// Algorithm 1: full-rank warm-up; then cycles of decompose, independent groups, merge, rebound.
TrainingResult Trainer::run() {
  border_.check_replicas("at the start");
  loader_.seek(0, 0);
  auto due = plan_.evaluations.begin();
  for (const PhaseSpan& span : plan_.spans) {
    enter_phase(span);
    for (int64_t step = span.from; step < span.to; ++step) {
      in_.world.ledger().set_phase(ledger_phase(span.phase));
      train_step(step);
      if (step + 1 == span.to) leave_phase(span);
      if (due != plan_.evaluations.end() && *due == step + 1) evaluate(*due++);
    }
  }
  result_.images_per_s = step_seconds_ > 0.0 ? static_cast<double>(timed_steps_) *
                                                   in_.resolved.global_batch / step_seconds_
                                             : 0.0;
  result_.peak_device_bytes = in_.device.memory().peak_bytes;
  return result_;
}

Communicator& Trainer::gradient_communicator() {
  return trains_in_groups(method_, span_.phase) ? *group_ : in_.world;
}

void Trainer::enter_phase(const PhaseSpan& span) {
  span_ = span;
  if (span.phase == StepPhase::kAb) {
    std::vector<int64_t> kept;
    for (const RankRecord& record : border_.decompose(span.cycle)) {
      kept.push_back(record.report.k);
      if (in_.folder) in_.folder->write_ranks(record);
    }
    result_.layer_ranks.push_back(std::move(kept));
    result_.params_now = replica_.present_elements();
  }
  Communicator& communicator = gradient_communicator();
  reducer_ = std::make_unique<GradientReducer>(
      replica_.store, communicator, static_cast<int64_t>(in_.config.comm.bucket_mb * (1 << 20)),
      reduce_dtype_of(in_.config));
  replica_.tape.set_listener([this](Parameter& p) { reducer_->ready(p); });
  const std::string& sync = in_.config.train.sync_bn;
  Communicator& shared = sync == "world" ? in_.world : communicator;
  statistics_ =
      sync != "off" && shared.size() > 1 ? std::make_unique<BatchStatistics>(shared) : nullptr;
}

void Trainer::train_step(int64_t step) {
  const double begin = now();
  batch_.upload(loader_.next());
  const StepInput input{step, statistics_.get()};
  reducer_->begin_step();
  const double loss = replica_.forward_backward(batch_, input);
  const double waited = reducer_->finish_step();
  const double norm = replica_.gradient_norm();
  if (!std::isfinite(loss) || !std::isfinite(norm)) stop_non_finite(step, loss, input);
  const double clip = in_.config.train.clip_norm;
  const double scale = clip > 0.0 && norm > clip ? clip / (norm + 1e-6) : 1.0;
  const double lr = learning_rate(lr_settings(in_.config, in_.resolved), step,
                                  steps_since_border(plan_.spans, step));
  replica_.update(lr, static_cast<float>(scale));
  const double seconds = now() - begin;
  if (step > 0) {  // the first step lays out memory and builds primitives
    step_seconds_ += seconds;
    ++timed_steps_;
  }
  if ((step + 1) % in_.config.train.log_every == 0 || step + 1 == in_.resolved.total_steps)
    log_step(step, loss, norm, seconds, waited);
}

void Trainer::leave_phase(const PhaseSpan& span) {
  if (span.phase == StepPhase::kAb) border_.merge();
}

void Trainer::log_step(int64_t step, double loss, double norm, double seconds, double waited) {
  Communicator& communicator = gradient_communicator();
  communicator.all_reduce(Purpose::kMetrics, &loss, 1, DType::kFloat64);
  loss /= communicator.size();
  if (!in_.folder) return;
  StepRecord record;
  record.step = step + 1;
  record.epoch = static_cast<double>(step + 1) / in_.resolved.steps_per_epoch;
  record.phase = name_of(span_.phase);
  record.cycle = span_.cycle;
  record.lr = learning_rate(lr_settings(in_.config, in_.resolved), step,
                            steps_since_border(plan_.spans, step));
  record.loss = loss;
  record.grad_norm = norm;
  record.images_per_s = in_.resolved.global_batch / seconds;
  record.step_s = seconds;
  record.comm_wait_s = waited;
  in_.folder->write_step(record);
  ProgressState state;
  state.step = record.step;
  state.total = in_.resolved.total_steps;
  state.phase = record.phase;
  state.cycle = record.cycle;
  state.loss = loss;
  state.lr = record.lr;
  state.images_per_s = record.images_per_s;
  in_.progress->update(state);
}

void Trainer::evaluate(int64_t completed) {
  in_.world.ledger().set_phase(Phase::kEvaluate);
  border_.average_statistics();
  const EvalRecord record = evaluation_.run(completed);
  result_.top1_last = record.top1;
  result_.top1_best = std::max(result_.top1_best.value_or(0.0), record.top1);
  if (!in_.folder) return;
  in_.folder->write_eval(record);
  char text[160];
  std::snprintf(text, sizeof text, "eval  step %lld  loss %.4f  top-1 %.2f %%  top-5 %.2f %%",
                static_cast<long long>(completed), record.loss, 100.0 * record.top1,
                100.0 * record.top5);
  in_.progress->note(text);
}

// Every rank that averages gradients together sees the same sum, so all of them come here. The
// first whose own batch went wrong tells what it found; the others wait for it to end the run.
void Trainer::stop_non_finite(int64_t step, double loss, const StepInput& input) {
  const std::string layer = replica_.first_non_finite_layer(batch_, input);
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
