#include "tools/train/eval_command.h"

#include <cstdio>

#include "tools/train/datasets.h"
#include "tools/train/evaluation.h"
#include "tools/train/exit_codes.h"
#include "tools/train/rank_program.h"
#include "tools/train/weights.h"
#include "tools/train/weights_file.h"

namespace ab {

int eval_command(const Options& options) {
  return run_on_ranks(0, 600.0, [&](Communicator& world, const RankPlace& place) {
    const Config config = load_config(options.config, options.settings);
    const DataSettings data = data_settings(config);
    const auto images = open_fitting_dataset(config, Split::kTest);
    const auto device =
        Device::create(options.device == "cuda" ? DeviceKind::kCuda : DeviceKind::kHost,
                       place.local_rank, place.threads);
    Replica replica(config, Resolved{}, *device);
    load_weights(replica.store, weights_file(options.checkpoint, "--checkpoint"));
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
