// Trainer: the paper's Algorithm 1, step by step, on one rank.
#pragma once
#include <memory>
#include <optional>

#include "distributed/reducer.h"
#include "tools/train/baselines.h"
#include "tools/train/batch_statistics.h"
#include "tools/train/checkpoint_writer.h"
#include "tools/train/evaluation.h"
#include "tools/train/local_average.h"
#include "tools/train/phase_border.h"
#include "tools/train/progress.h"
#include "tools/train/run_plan.h"
#include "tools/train/step_graph.h"
#include "tools/train/stop_request.h"
#include "tools/train/timeline.h"

namespace ab {

struct TrainerInput {
  const Config& config;
  const Resolved& resolved;
  Communicator& world;
  Device& device;
  const Dataset &train, &test;
  RunFolder* folder = nullptr;  // rank 0 alone
  Progress* progress = nullptr;
  std::string checkpoint_folder;  // the run's folder, known to every rank; empty: no checkpoints
  std::string resume_from;        // a checkpoint; empty: from the start
  Timeline* timeline = nullptr;   // null: none is written
};

// What a run found out; the command around it adds the ledger.
struct TrainingResult {
  std::optional<double> top1_last, top1_best;
  int64_t params_full = 0, params_now = 0;  // now: of the last factored form, full where none was
  // Kept rank of every factorable weight in each cycle (0: stayed dense): what a plan needs.
  std::vector<std::vector<int64_t>> layer_ranks;
  int64_t skipped_train_samples = 0, skipped_eval_images = 0;  // of all ranks; did not decode
  double images_per_s = 0.0;
  int64_t graph_steps = 0;  // of those that ran as a recorded graph
  size_t peak_device_bytes = 0;
  int64_t steps = 0;  // completed
  std::string
      stopped_for;  // why the run ended before its last step, checkpointed; empty: it did not
};

class Trainer {
 public:
  explicit Trainer(const TrainerInput& input);
  TrainingResult run();
  Replica& replica() { return replica_; }

 private:
  static double now();  // seconds
  int64_t resume();
  void enter_phase(const PhaseSpan& span, int64_t step);
  void decompose();
  void train_step(int64_t step);
  void lay_out_step(int64_t step);
  void send_batch(int64_t step);
  void send_ahead(int64_t step);
  void leave_phase(const PhaseSpan& span);
  bool run_span(const PhaseSpan& span, int64_t first);
  void evaluate(int64_t completed);
  RunLayout layout() const;
  void save(int64_t completed);
  EvalRecord evaluate_merged(int64_t completed);
  bool checkpoint_due(int64_t completed) const;
  CheckpointParts checkpoint_parts(StepPhase phase, bool factored);
  Timeline::Span timed(const char* what, int64_t step);
  void count_skipped();
  void log_step(StepRecord record);
  [[noreturn]] void stop_non_finite(int64_t step, double loss);
  Communicator& gradient_communicator();

  TrainerInput in_;
  RunPlan plan_;
  Method method_;
  std::unique_ptr<Communicator> group_;  // methods ab, local-sgd
  GroupPlace place_;
  Replica replica_;
  PhaseBorder border_;
  Loader loader_;
  DeviceBatch batch_;
  Evaluation evaluation_;
  std::unique_ptr<PowerSgd> powersgd_;  // method powersgd
  LocalAverage local_;
  int64_t sent_ = -1;  // the step whose batch is on its way
  int64_t sent_skipped_ = 0;
  std::string sent_first_skipped_;
  StepGraph graph_;
  std::unique_ptr<GradientReducer> reducer_;
  GradientExchange* exchange_ = nullptr;  // of this phase: one of the above
  std::unique_ptr<BatchStatistics> statistics_;
  PhaseSpan span_;
  Timeline no_timeline_;
  TrainingResult result_;
  StopRequest stop_;
  CheckpointWriter checkpoints_;
  double step_seconds_ = 0.0, last_step_s_ = 0.0;
  int64_t timed_steps_ = 0;
  int64_t skipped_ = 0;  // samples of this rank that did not decode
};

}  // namespace ab
