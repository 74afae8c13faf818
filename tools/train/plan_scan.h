// The same run on many node counts: one table.
// Constant local batch: global batch and nodes grow together. Constant global batch: the samples of
// a step are dealt out anew. Steps that a configuration gives as numbers (steps per epoch, compat's
// W, S, D, ...) hold at the samples per step it is written for; at others they are scaled, so that
// epochs and phases keep their images.
#pragma once
#include "tools/train/options.h"
#include "tools/train/plan_json.h"

namespace ab {

// `config` with steps for `batch` samples a step instead of `written_for`.
Config rescaled(Config config, int64_t written_for, int64_t batch);

// {"model", "method", "ranks_per_node", "scaling", "written_for_global_batch", "scan": [{"nodes",
// "ranks", "local_batch", "global_batch", "steps_per_epoch", "total_steps", traffic_json...,
// "time"}, ...]}; {"nodes", "ranks", "error"} where a run is impossible.
Json scan_json(const Config& config, const Options& options);
std::string scan_text(const Json& json);

}  // namespace ab
