// The plan as JSON (interface: `plan --json`); the text of a plan is written from it.
#pragma once
#include "tools/train/options.h"
#include "tools/train/run_planner.h"

namespace ab {

// Bytes, shares, ECR and memory of a run; {"low", "high"} where the ranks are an interval.
Json traffic_json(const Config& config, const WorldLayout& layout, const Options& options);

// One run on options.nodes nodes: parameters, phases, entries of the ledger, traffic_json, and
// "time" where options ask for it.
Json plan_json(const Config& config, const Options& options);

}  // namespace ab
