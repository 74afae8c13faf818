// Ranks that are processes may be started with different command lines by mistake.
#pragma once
#include "distributed/communicator.h"
#include "tools/train/config.h"

namespace ab {

// Every rank calls it first of all: one int64 from each (purpose hash), and only where they differ
// the hash of every key. Throws ConfigError on every rank, naming ranks and keys that differ from
// rank 0's. Where the images lie and who prepares them (data.dir, data.workers) may differ.
void check_same_config(const Config& config, Communicator& world);

}  // namespace ab
