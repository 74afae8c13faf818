#include "tools/train/evaluation.h"

#include "engine/ops/accuracy.h"
#include "engine/ops/loss.h"

namespace ab {

Evaluation::Evaluation(const Dataset& images, const DataSettings& settings, Replica& replica,
                       Communicator& world)
    : replica_(replica),
      world_(world),
      loader_(images, settings, Split::kTest, world.rank(), world.size()),
      batch_(replica.device, settings.local_batch, settings.image, normalisation_of(settings)),
      arena_(replica.device) {}

EvalRecord Evaluation::run(int64_t step, int64_t skipped_in_training) {
  world_.ledger().set_phase(Phase::kEvaluate);
  // Loss, top-1 hits, top-5 hits, images; images that did not decode, here and in training.
  double sums[6] = {};
  sums[5] = static_cast<double>(skipped_in_training);
  loader_.seek(0, 0);
  for (int64_t i = 0; i < loader_.steps_per_epoch(); ++i) {
    const HostBatch& host = loader_.next();
    sums[4] += static_cast<double>(host.skipped);
    if (host.count == 0) continue;
    batch_.upload(host);
    float loss = 0.0f, hits[2] = {};
    {
      Context pass = replica_.context(arena_, false);
      const Tensor logits = replica_.model->forward(pass, batch_.images(pass));
      const Tensor mean = cross_entropy(pass, logits, batch_.labels(), 0.0f);
      const Tensor counted = accuracy(pass, logits, batch_.labels());
      Runtime& runtime = replica_.device.runtime();
      runtime.copy_to_host(pass.stream, &loss, mean.data(), sizeof loss);
      runtime.copy_to_host(pass.stream, hits, counted.data(), sizeof hits);
    }
    arena_.end_step();
    sums[0] += static_cast<double>(loss) * static_cast<double>(host.count);
    sums[1] += hits[0];
    sums[2] += hits[1];
    sums[3] += static_cast<double>(host.count);
  }
  arena_.reset();
  world_.all_reduce(Purpose::kEvaluation, sums, 6, DType::kFloat64);
  return {step,
          sums[0] / sums[3],
          sums[1] / sums[3],
          sums[2] / sums[3],
          static_cast<int64_t>(sums[3]),
          static_cast<int64_t>(sums[4]),
          static_cast<int64_t>(sums[5])};
}

}  // namespace ab
