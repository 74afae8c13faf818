// The plan as a person reads it.
#pragma once
#include <string>

#include "tools/train/config.h"
#include "tools/train/traffic_plan.h"

namespace ab {

// json: what plan --json prints. link_gbit 0: no transfer times.
std::string plan_text(const Json& json, const Config& config, const WorldLayout& layout,
                      double link_gbit);

// "1.23 GB", "456.0 kB": powers of ten, as network rates are given.
std::string bytes_text(double bytes);

}  // namespace ab
