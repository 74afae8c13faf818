#include "tools/train/eval_command.h"

#include <cstdio>
#include <filesystem>

#include "engine/error.h"
#include "tools/train/datasets.h"
#include "tools/train/evaluation.h"
#include "tools/train/exit_codes.h"
#include "tools/train/rank_program.h"
#include "tools/train/weights.h"

namespace ab {
namespace {

// A file, a checkpoint's folder, or a run's folder, of which the newest complete checkpoint is
// taken.
std::string weights_file(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::exists(path, error))
    throw DataError("--checkpoint " + path + ": " +
                    (error ? error.message() : "no such file or folder") +
                    "; give a run's folder, a folder checkpoints/step-... of it, or a "
                    ".safetensors file");
  if (!fs::is_directory(path)) return path;
  if (fs::exists(path + "/weights.safetensors")) return path + "/weights.safetensors";
  std::string newest;
  if (fs::is_directory(path + "/checkpoints"))
    for (const auto& entry : fs::directory_iterator(path + "/checkpoints"))
      if (fs::exists(entry.path() / "DONE")) newest = std::max(newest, entry.path().string());
  if (newest.empty())
    throw DataError("--checkpoint " + path +
                    ": no weights.safetensors and no complete checkpoint in it; give the folder of "
                    "a finished run");
  return newest + "/weights.safetensors";
}

}  // namespace

int eval_command(const Options& options) {
  return run_on_ranks(0, 600.0, [&](Communicator& world, const RankPlace& place) {
    const Config config = load_config(options.config, options.settings);
    const DataSettings data = data_settings(config);
    const auto images = open_fitting_dataset(config, Split::kTest);
    const auto device =
        Device::create(options.device == "cuda" ? DeviceKind::kCuda : DeviceKind::kHost,
                       place.local_rank, place.threads);
    Replica replica(config, Resolved{}, *device);
    load_weights(replica.store, weights_file(options.checkpoint));
    const EvalRecord record = Evaluation(*images, data, replica, world).run(0);
    if (world.rank() == 0)
      std::printf("images %lld  loss %.4f  top-1 %.2f %%  top-5 %.2f %%\n",
                  static_cast<long long>(record.images), record.loss, 100.0 * record.top1,
                  100.0 * record.top5);
    if (world.rank() == 0 && record.skipped > 0)
      std::printf("left out %lld images that do not decode\n",
                  static_cast<long long>(record.skipped));
    return static_cast<int>(kExitDone);
  });
}

}  // namespace ab
