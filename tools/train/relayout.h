// Re-layout: a run goes on with another number of ranks, or with groups of another size.
//   global batch   stays: each rank takes global / world samples, which has to divide. Samples,
//                  augmentation and dropout follow the place in the global batch, so the steps are
//                  those of the old layout up to rounding
//   weights        and moments, outer momenta, layer ranks, results: of the first image
//   per rank       ledgers and counts of skipped samples: rank r adds up those of the old ranks r,
//                  r + world, ..., so that the sums stay; the ledger goes on with the new costs
// So the ranks must hold the same weights and moments: anywhere but inside a phase in which groups
// (ab, local-sgd) or ranks (powersgd: its errors) go their own way. The borders of such a phase are
// outside of it.
#pragma once
#include "tools/train/checkpoint.h"

namespace ab {

// Before anything is resolved: gives `config` the checkpoint's global batch. Throws ConfigError
// where the user asked for another one, or it does not divide by the ranks.
void keep_global_batch(Config& config, const RunState& state, const std::string& checkpoint,
                       int world);

// Whether the layout differs from the checkpoint's. Throws ConfigError where it may not, naming the
// nearest borders. own_statistics: ranks have batch statistics that nobody averages.
bool is_relayout(const Config& config, const std::vector<PhaseSpan>& spans, const RunState& state,
                 const RunLayout& now, const std::string& checkpoint, bool own_statistics);

}  // namespace ab
