// Hours and node-hours of a run by every method, side by side.
#pragma once
#include "tools/train/options.h"
#include "tools/train/run_planner.h"

namespace ab {

// The layer ranks that the options ask for: an interval, or twice the same.
struct RankInterval {
  LayerRanks low, high;
};
RankInterval rank_interval(const RunPlanner& planner, const Options& options);
// The compression that ECR is computed with, if --compression gives it.
std::optional<double> given_compression(const Options& options);

// Whether a flag asks for times.
bool wants_time(const Options& options);
// Throws ConfigError where links are missing.
TimeModel time_model(const Options& options, const WorldLayout& layout, int64_t local_batch);

// {"step_seconds" or "images_per_second", "link_gbit", ...}: what the times assume.
Json json_of(const TimeModel& model, const Options& options);
// Per method {"method", "phases": [{"phase", "steps", "compute_s", "communication_s",
// "waiting_s"}], "seconds", "hours", "node_hours", "waiting_share", "images_per_s",
// "inter_node_sent_bytes"}, or
// {"method", "error"} where the method cannot run on this world.
Json method_times(const Config& config, const WorldLayout& layout, const Options& options);

}  // namespace ab
