// Memory plan: device bytes that one rank will hold at most, found by walking the run's kinds of
// step on a dry device: the very code of a step, without memory behind its addresses.
#pragma once
#include "tools/train/traffic_plan.h"

namespace ab {

// ranks: kept ranks of one cycle, or empty for a run without AB phases. images_height, -width,
// channels: extents of the stored images (0: the network's).
struct StoredImage {
  int height = 0, width = 0, channels = 0;
};
size_t plan_memory(const Config& config, const Resolved& resolved, const StoredImage& image,
                   const std::vector<int64_t>& ranks);

}  // namespace ab
