#include "tools/train/trainer.h"

#include <algorithm>
#include <chrono>

#include "distributed/groups.h"
#include "tools/train/config_check.h"
#include "tools/train/relayout.h"

namespace ab {
namespace {

const TrainerInput& checked(const TrainerInput& in) {
  check_same_config(in.config, in.world);
  return in;
}

std::unique_ptr<Communicator> make_group(const TrainerInput& in) {
  const Method method = method_of(in.config);
  if (method != Method::kAb && method != Method::kLocalSgd) return nullptr;
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

double Trainer::now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

Trainer::Trainer(const TrainerInput& input)
    : in_(checked(input)),
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
      evaluation_(in_.test, data_settings(in_.config, in_.resolved), replica_, in_.world),
      powersgd_(make_powersgd(in_.config, replica_, in_.world)),
      local_(in_.config, replica_, in_.world, border_.replicas()),
      graph_(replica_, in_.world, in_.config.train.cuda_graph && !powersgd_,
             [this](const std::string& text) {
               if (in_.progress) in_.progress->note(text);
             }),
      stop_(in_.config, in_.world, in_.resolved.total_steps, !in_.checkpoint_folder.empty()),
      checkpoints_(in_.checkpoint_folder, in_.world, in_.config.checkpoint.keep) {
  result_.params_full = result_.params_now = replica_.full_elements;
}

// Algorithm 1: full-rank warm-up; then cycles of decompose, independent groups, merge, rebound.
TrainingResult Trainer::run() {
  const int64_t start = resume();
  for (const PhaseSpan& span : plan_.spans)
    if (span.to > start && run_span(span, std::max(start, span.from))) break;
  checkpoints_.finish();
  result_.images_per_s = step_seconds_ > 0.0 ? static_cast<double>(timed_steps_) *
                                                   in_.resolved.global_batch / step_seconds_
                                             : 0.0;
  result_.graph_steps = graph_.launches();
  result_.peak_device_bytes = in_.device.memory().peak_bytes;
  return result_;
}

// True when the ranks agreed to stop here, with a checkpoint.
bool Trainer::run_span(const PhaseSpan& span, int64_t first) {
  enter_phase(span, first);
  for (int64_t step = first; step < span.to; ++step) {
    in_.world.ledger().set_phase(ledger_phase(span.phase));
    in_.world.ledger().set_step(step + 1);
    train_step(step);
    const int64_t completed = result_.steps = step + 1;
    const bool stop = stop_.agreed(completed, last_step_s_, checkpoints_);
    if (averages_after(in_.config, span, completed)) local_.average();
    const int64_t check = in_.config.train.check_every;
    if (check > 0 && completed % check == 0)
      border_.replicas().together(gradient_communicator(),
                                  std::string("in phase ") + name_of(span.phase));
    if (completed == span.to) leave_phase(span);
    if (std::binary_search(plan_.evaluations.begin(), plan_.evaluations.end(), completed))
      evaluate(completed);
    if (checkpoint_due(completed) || stop)
      save(completed);
    else if (stop_.all_written())
      checkpoints_.settle();
    if (!stop) continue;
    result_.stopped_for = stop_.reason();
    return true;
  }
  return false;
}

// Completed updates of the checkpoint that the run goes on from; 0 when it begins.
int64_t Trainer::resume() {
  int64_t start = 0;
  if (in_.resume_from.empty()) {
    border_.replicas().whole("at the start");
  } else {
    const RunState state = load_state(in_.resume_from);
    start = state.step;
    const bool own_statistics = in_.config.train.sync_bn == "off" && replica_.store.buffer_values();
    const bool moved =
        is_relayout(in_.config, plan_.spans, state, layout(), in_.resume_from, own_statistics);
    if (!state.factored.empty()) shape_as_factored(replica_, state.factored, place_.trains_a);
    CheckpointParts parts =
        checkpoint_parts(span_of(plan_.spans, start - 1).phase, !state.factored.empty());
    if (moved) parts.image.index = 0;
    load_checkpoint(in_.resume_from, state, parts);
    result_.layer_ranks = state.layer_ranks;
    result_.params_now = state.params_now;
    result_.top1_last = state.top1_last;
    result_.top1_best = state.top1_best;
    if (in_.folder) in_.folder->keep_up_to(start, static_cast<int>(state.layer_ranks.size()));
  }
  const int64_t pass = in_.resolved.data_steps_per_epoch;
  loader_.seek(start / pass, start % pass);
  return start;
}

Communicator& Trainer::gradient_communicator() {
  return trains_in_groups(method_, span_.phase) ? *group_ : in_.world;
}

void Trainer::enter_phase(const PhaseSpan& span, int64_t step) {
  span_ = span;
  graph_.begin_phase();
  if (span.phase == StepPhase::kAb && step == span.from) decompose();
  Communicator& communicator = gradient_communicator();
  reducer_.reset();
  if (span.phase != StepPhase::kCompressed)
    reducer_ = std::make_unique<GradientReducer>(
        replica_.store, communicator, static_cast<int64_t>(in_.config.comm.bucket_mb * (1 << 20)),
        reduce_dtype_of(in_.config));
  exchange_ = reducer_ ? static_cast<GradientExchange*>(reducer_.get()) : powersgd_.get();
  replica_.tape.set_listener([this](Parameter& p) { exchange_->ready(p); });
  const std::string& sync = in_.config.train.sync_bn;
  Communicator& shared = sync == "world" ? in_.world : communicator;
  statistics_ =
      sync != "off" && shared.size() > 1 ? std::make_unique<BatchStatistics>(shared) : nullptr;
}

void Trainer::decompose() {
  const auto timing = timed("decompose", span_.from);
  std::vector<int64_t> kept;
  for (const RankRecord& record : border_.decompose(span_.cycle)) {
    kept.push_back(record.report.k);
    if (in_.folder) in_.folder->write_ranks(record);
  }
  result_.layer_ranks.push_back(std::move(kept));
  result_.params_now = replica_.present_elements();
}

void Trainer::leave_phase(const PhaseSpan& span) {
  if (span.phase == StepPhase::kCompressed) {
    border_.average_statistics();
    border_.replicas().whole("after the last step");
  }
  if (span.phase != StepPhase::kAb) return;
  const auto timing = timed("merge", span.to);
  graph_.begin_phase();
  border_.merge();
}

Timeline::Span Trainer::timed(const char* what, int64_t step) {
  return {in_.timeline ? *in_.timeline : no_timeline_, what, step};
}

// Of the weights that a merge or an average has just left, or would leave if it came now.
EvalRecord Trainer::evaluate_merged(int64_t completed) {
  in_.world.ledger().set_phase(Phase::kEvaluate);
  if (span_.phase != StepPhase::kLocal) {
    border_.average_statistics();
    return evaluation_.run(completed, skipped_);
  }
  if (averages_after(in_.config, span_, completed)) return evaluation_.run(completed, skipped_);
  const LocalAverage::Borrowed averages(local_);
  return evaluation_.run(completed, skipped_);
}

void Trainer::evaluate(int64_t completed) {
  const auto timing = timed("evaluate", completed);
  const EvalRecord record = evaluate_merged(completed);
  result_.skipped_train_samples = record.skipped_in_training;
  result_.skipped_eval_images = record.skipped;
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

bool Trainer::checkpoint_due(int64_t completed) const {
  const auto every = in_.config.checkpoint.every_steps;
  return every && !in_.checkpoint_folder.empty() && completed % *every == 0 &&
         completed < in_.resolved.total_steps;
}

// Ranks hold different weights or moments inside a group phase (by group), after it where nobody
// averaged the moments (by group), and where batch statistics are each rank's own (by rank).
CheckpointParts Trainer::checkpoint_parts(StepPhase phase, bool factored) {
  ImagePlace image{0, in_.world.rank() == 0};
  const bool in_groups = factored || phase == StepPhase::kLocal;
  if (in_.config.train.sync_bn == "off" && replica_.store.buffer_values())
    image = {in_.world.rank(), true};
  else if (group_ && (in_groups || in_.config.ab.compat.moments))
    image = {place_.index, group_->rank() == 0};
  return {replica_, border_.stash(), border_.rules(), powersgd_.get(), in_.world, image, skipped_};
}

RunLayout Trainer::layout() const {
  return {in_.world.size(), in_.resolved.group_size, in_.resolved.global_batch};
}

void Trainer::save(int64_t completed) {
  const auto timing = timed("checkpoint", completed);
  const bool factored = span_.phase == StepPhase::kAb && completed < span_.to;
  RunState state{layout(),          completed,        {}, result_.layer_ranks, result_.params_now,
                 result_.top1_last, result_.top1_best};
  if (factored) state.factored = result_.layer_ranks.back();
  checkpoints_.begin(state, checkpoint_parts(span_.phase, factored));
}

}  // namespace ab
