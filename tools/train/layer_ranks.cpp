#include "tools/train/layer_ranks.h"

#include <algorithm>

namespace ab {
namespace {

LayerRanks rows_of(const Replica& replica, int cycles, bool full) {
  std::vector<int64_t> row;
  for (const FactoredWeight* weight : replica.factorable) row.push_back(full ? weight->n() : 1);
  return LayerRanks(static_cast<size_t>(cycles), row);
}

}  // namespace

LayerRanks lowest_ranks(const Replica& replica, int cycles) {
  return rows_of(replica, cycles, false);
}
LayerRanks highest_ranks(const Replica& replica, int cycles) {
  return rows_of(replica, cycles, true);
}

int count_cycles(const std::vector<PhaseSpan>& spans) {
  return static_cast<int>(std::count_if(spans.begin(), spans.end(), [](const PhaseSpan& span) {
    return span.phase == StepPhase::kAb;
  }));
}

void shape_as_factored(Replica& replica, const std::vector<int64_t>& ranks, bool trains_a) {
  for (size_t i = 0; i < ranks.size(); ++i) {
    FactoredWeight& weight = *replica.factorable[i];
    if (ranks[i] == 0) {
      weight.become_dense();
      continue;
    }
    weight.become_factored(ranks[i]);
    weight.a().trainable = trains_a;
    weight.b().trainable = !trains_a;
  }
  replica.adamw.relayout(replica.store.layout());
}

void shape_as_dense(Replica& replica) {
  for (FactoredWeight* weight : replica.factorable) weight->become_dense();
  replica.adamw.relayout(replica.store.layout());
}

}  // namespace ab
