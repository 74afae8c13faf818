// Where a run writes and what it goes on from, by --out, --resume and the checkpoints that are
// there.
#pragma once
#include <string>
#include <vector>

#include "tools/train/config.h"
#include "tools/train/options.h"
#include "tools/train/rank_program.h"

namespace ab {

// checkpoint: the one that the run goes on from; empty: from the start.
struct Places {
  std::string folder, checkpoint;
};

// Damaged checkpoints that are passed over add a warning. ConfigError where the options contradict
// each other, DataError where --resume names a folder without a checkpoint.
Places places_of(const Options& options, std::vector<std::string>* warnings);

// Ranks that are processes must all know the folder before rank 0 has made it: ConfigError else.
void check_places(const Config& config, const Places& places, const Communicator& world,
                  const RankPlace& place);

}  // namespace ab
