// The folder of a checkpoint: names of its files, when it counts as whole, when it goes.
//   Each rank lists the files it wrote, with CRC-32 and length, in its rank-00000.json; DONE,
//   written last, holds all lists and those files' own. A folder without DONE was not finished.
#pragma once
#include <string>
#include <vector>

#include "tools/train/config.h"

namespace ab {

std::string checkpoint_path(const std::string& run_folder, int64_t step);
std::string image_file(const char* kind, int index);
std::string rank_file(int rank, const char* ending = ".json");

// An object, or a DataError that names the file.
Json read_json(const std::string& path);

// {"crc32": {name: value}, "bytes": {name: length}} of files in `folder`, read back from there.
Json listing_of(const std::string& folder, const std::vector<std::string>& names);

// From here on the checkpoint that `ranks` ranks have written counts. What none of them lists, as a
// run that was killed while it wrote here leaves it, is removed.
void write_done(const std::string& path, int ranks);

// Keeps the `keep` newest whole checkpoints; those that nobody will finish go, too.
void remove_older(const std::string& run_folder, int keep);

// The newest checkpoint of a run's folder that is complete and undamaged; empty when there is none.
// warnings: one line for each that was passed over, naming the damage.
std::string newest_checkpoint(const std::string& run_folder, std::vector<std::string>* warnings);

}  // namespace ab
