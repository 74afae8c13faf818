// The plan as a person reads it.
#pragma once
#include <string>

#include "tools/train/config.h"
#include "tools/train/plan_format.h"
#include "tools/train/traffic_plan.h"

namespace ab {

// json: what plan --json prints.
std::string plan_text(const Json& json, const Config& config, const WorldLayout& layout);

// What times assume, in words; json: as json_of(TimeModel) gives it.
std::string time_model_text(const Json& model);

}  // namespace ab
