#include "tools/train/memory_plan.h"

#include <algorithm>

#include "tools/train/baselines.h"
#include "tools/train/merge_rules.h"

namespace ab {
namespace {

void walk_step(Replica& replica, const DeviceBatch& batch) {
  replica.begin_step(0, 0.0);
  replica.forward_backward(batch, nullptr);
  replica.update();
}

// What a border holds besides the two layouts, which the store's own change accounts for: the
// factors before they are installed, or the packed copy of a merge, whichever way the border is
// crossed.
void walk_border(Replica& replica, const std::vector<int64_t>& ranks, bool trains_a) {
  int64_t factors = 0;
  for (size_t i = 0; i < ranks.size(); ++i)
    factors += ranks[i] * (replica.factorable[i]->m() + replica.factorable[i]->n());
  {
    const Tensor held(replica.border, {std::max<int64_t>(1, factors)}, DType::kFloat32);
    shape_as_factored(replica, ranks, trains_a);
  }
  replica.border.reset();
  replica.arena.reset();
}

}  // namespace

size_t plan_memory(const Config& config, const Resolved& resolved, const StoredImage& image,
                   const std::vector<int64_t>& ranks) {
  const auto dry = Device::create(DeviceKind::kDry);
  Replica replica(config, resolved, *dry);
  const int side = *config.model.image;
  DeviceBatch batch(*dry, resolved.local_batch, side,
                    normalisation_of(data_settings(config, resolved)));
  DeviceBatch evaluated(*dry, resolved.local_batch, side,
                        normalisation_of(data_settings(config, resolved)));
  for (DeviceBatch* b : {&batch, &evaluated})
    b->pretend(resolved.local_batch, image.height ? image.height : side,
               image.width ? image.width : side,
               image.channels ? image.channels : *config.model.channels);
  const Buffer baseline(*dry, baseline_bytes(config, replica));
  walk_step(replica, batch);
  walk_step(replica, batch);  // the second one runs in the slab that the first one found
  MergeRules rules(config, replica, resolved.groups > 1);
  if (!ranks.empty())
    for (const bool trains_a : {true, false}) {
      walk_border(replica, ranks, trains_a);
      rules.begin_cycle();
      walk_step(replica, batch);
      walk_step(replica, batch);
      for (const FactoredWeight* weight : replica.factorable)
        if (weight->factored()) rules.merged(*weight);
      replica.border.reset();
      rules.end_cycle();
      shape_as_dense(replica);
      replica.arena.reset();
    }
  return dry->memory().peak_bytes;
}

}  // namespace ab
