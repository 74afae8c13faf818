#include "tools/train/train_command.h"

#include <chrono>
#include <ctime>
#include <filesystem>
#include <mutex>

#include "distributed/groups.h"
#include "distributed/ledger_gather.h"
#include "engine/convolution.h"
#include "engine/error.h"
#include "tools/train/datasets.h"
#include "tools/train/efficiency.h"
#include "tools/train/exit_codes.h"
#include "tools/train/plan_text.h"
#include "tools/train/rank_program.h"
#include "tools/train/relayout.h"
#include "tools/train/run_places.h"
#include "tools/train/traffic_plan.h"
#include "tools/train/trainer.h"
#include "tools/train/weights.h"

namespace ab {
namespace {

// What the processes of a run share: the configuration and the images, and on the first rank's
// process the run's folder.
struct Shared {
  Config config;
  Places places;
  std::vector<std::string> warnings;
  Datasets data;
  std::optional<RunFolder> folder;
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
};

DeviceKind device_kind(const std::string& name) {
  return name == "cuda" ? DeviceKind::kCuda : DeviceKind::kHost;
}

// Bytes of plain data parallelism for the same steps and ranks, by the planner's formula, which the
// tests hold equal to a ddp run's ledger.
int64_t ddp_bytes(Config config, int64_t images, const WorldLayout& layout) {
  config.method = "ddp";
  const Resolved resolved = resolve(config, images, layout.world, layout.ranks_per_node);
  const auto dry = Device::create(DeviceKind::kDry);
  Replica replica(config, resolved, *dry);
  return sent_bytes(plan_traffic(config, resolved, layout, replica, {}));
}

void save_final_weights(Replica& replica, const RunFolder& folder, int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  const std::string path = folder.path() + "/checkpoints/" + name;
  std::filesystem::create_directories(path);
  save_weights(replica.store, path + "/weights.safetensors", {{"step", std::to_string(step)}});
  write_whole_file(path + "/DONE", "");
}

// One rank's part of a run.
class Run {
 public:
  Run(const Options& options, Shared& shared, Communicator& world, const RankPlace& place)
      : options_(options),
        shared_(shared),
        config_(shared.config),
        data_(shared.data),
        world_(world),
        layout_{world.size(), place.ranks_per_node},
        resolved_(resolve(config_, data_.train->size(), layout_.world, layout_.ranks_per_node)),
        device_(Device::create(device_kind(options.device), place.local_rank, place.threads)),
        gpu_world_(device_world(world, *device_, {config_.comm.timeout_s})) {
    check_places(config_, shared_.places, world, place);
    const Method method = method_of(config_);
    if ((method == Method::kAb && !config_.ab.group_size) ||
        (method == Method::kLocalSgd && !config_.local_sgd.group_size))
      check_nodes_are_groups(world.nodes(), resolved_.group_size);
    device_->tf32 = config_.train.tf32;
    if (world.rank() == 0) open_folder(options, place);
  }

  int run() {
    Progress progress(world_.rank() == 0);
    RunFolder* folder = world_.rank() == 0 ? &*shared_.folder : nullptr;
    if (folder) {
      progress.note(headline(*folder));
      for (const std::string& warning : shared_.warnings) progress.note("warning: " + warning);
      if (!shared_.places.checkpoint.empty())
        progress.note("goes on from " + shared_.places.checkpoint);
    }
    Timeline timeline;
    Timeline* traced = folder && options_.trace ? &timeline : nullptr;
    if (traced) timeline.open(folder->path() + "/trace.json");
    Trainer trainer({config_, resolved_, gpu_world_ ? *gpu_world_ : world_, *device_, *data_.train,
                     *data_.test, folder, &progress, shared_.places.folder,
                     shared_.places.checkpoint, traced});
    const TrainingResult result = trainer.run();
    progress.finish();
    if (folder)
      for (const std::string& line : device_->convolution().notes()) progress.note(line);
    if (!result.stopped_for.empty()) return stopped(result, progress);
    world_.ledger().set_phase(Phase::kEnd);
    RankBytes per_rank;
    Ledger all;
    for (const auto& [key, entry] : gather_ledger(world_, per_rank)) all.add(key, entry);
    if (!folder) return kExitDone;
    save_final_weights(trainer.replica(), *folder, resolved_.total_steps);
    folder->write_ledger(all, per_rank, world_.nodes(), layout_.ranks_per_node);
    write_summary(*folder, result, all.sent_bytes());
    if (result.skipped_train_samples + result.skipped_eval_images > 0)
      progress.note(
          "warning: images that do not decode: " + std::to_string(result.skipped_train_samples) +
          " training samples were replaced, " + std::to_string(result.skipped_eval_images) +
          " images are missing from the last evaluation");
    progress.note("done  " + bytes_text(static_cast<double>(all.sent_bytes())) +
                  " sent by all ranks  " + duration_text(shared_.seconds()) + "  results in " +
                  folder->path());
    return kExitDone;
  }

 private:
  int stopped(const TrainingResult& result, Progress& progress) {
    progress.note("checkpointed after step " + std::to_string(result.steps) + " of " +
                  std::to_string(resolved_.total_steps) + ": " + result.stopped_for +
                  "; the same command with --resume auto --out " + shared_.places.folder +
                  " goes on");
    if (world_.rank() == 0) shared_.folder->write_failure(kExitCheckpointed, shared_.seconds());
    return kExitCheckpointed;
  }

  void open_folder(const Options& options, const RankPlace& place) {
    std::string path = shared_.places.folder;
    if (path.empty()) path = default_run_folder(options.config, config_.method, std::time(nullptr));
    // A run that auto should go on with may have died before it wrote a line.
    const bool again = options.resume == "auto" ? holds_run(path) : !options.resume.empty();
    RunFolder& folder = shared_.folder.emplace(path, again);
    if (again && shared_.places.checkpoint.empty()) folder.keep_up_to(0, 0);
    shared_.begin = std::chrono::steady_clock::now();
    folder.write_config(
        config_, resolved_,
        {device_->description(), layout_.world, layout_.ranks_per_node, place.hosts});
  }

  std::string headline(const RunFolder& folder) const {
    std::string text = config_.model.name + "  method " + config_.method + "  " +
                       std::to_string(layout_.world) + (layout_.world == 1 ? " rank" : " ranks");
    if (resolved_.groups > 1)
      text += " in " + std::to_string(resolved_.groups) + " groups of " +
              std::to_string(resolved_.group_size);
    return text + "  " + std::to_string(resolved_.total_steps) + " steps of " +
           std::to_string(resolved_.global_batch) + " images  on " + device_->description() +
           "  into " + folder.path();
  }

  void write_summary(RunFolder& folder, const TrainingResult& result, int64_t sent) {
    const Method method = method_of(config_);
    const RunPlan plan = make_run_plan(config_, resolved_);
    Summary summary;
    summary.top1_last = result.top1_last;
    summary.top1_best = result.top1_best;
    summary.params_full = result.params_full;
    summary.params_now = result.params_now;
    const double compression = compression_of(result.params_full, result.params_now);
    summary.compression = compression;
    summary.total_sent_bytes = sent;
    summary.ddp_sent_bytes = ddp_bytes(config_, data_.train->size(), layout_);
    summary.traffic_reduction = traffic_reduction_of(sent, *summary.ddp_sent_bytes);
    summary.ecr_executed = ecr_executed(method, plan.spans, compression);
    summary.ecr_literal = ecr_literal(method, plan.spans, compression);
    summary.skipped_train_samples = result.skipped_train_samples;
    summary.skipped_eval_images = result.skipped_eval_images;
    summary.steps = resolved_.total_steps;
    summary.seconds = shared_.seconds();
    summary.images_per_s = result.images_per_s;
    summary.peak_memory_bytes = static_cast<int64_t>(result.peak_device_bytes);
    folder.write_summary(summary);
  }

  const Options& options_;
  Shared& shared_;
  const Config& config_;
  const Datasets& data_;
  Communicator& world_;
  WorldLayout layout_;
  Resolved resolved_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Communicator> gpu_world_;  // null on the host device
};

}  // namespace

int train_command(const Options& options) {
  // The timeout is needed before the ranks exist; what is wrong with the config is told by them.
  double timeout_s = CommunicatorOptions{}.timeout_s;
  try {
    timeout_s = load_config(options.config, options.settings).comm.timeout_s;
  } catch (const std::exception&) {
  }
  std::once_flag configured, opened;
  Shared shared;
  return run_on_ranks(
      options.local_ranks, timeout_s,
      [&](Communicator& world, const RankPlace& place) {
        std::call_once(configured, [&] {
          shared.config = load_config(options.config, options.settings);
          shared.places = places_of(options, &shared.warnings);
          if (const std::string& from = shared.places.checkpoint; !from.empty())
            keep_global_batch(shared.config, load_state(from), from, world.size());
        });
        if (!shared.places.folder.empty()) catch_stop_signals();
        // Ranks of one process share the images.
        std::call_once(opened, [&] { shared.data = open_datasets(shared.config); });
        return Run(options, shared, world, place).run();
      },
      [&](int exit_code) {
        if (shared.folder) shared.folder->write_failure(exit_code, shared.seconds());
      });
}

}  // namespace ab
