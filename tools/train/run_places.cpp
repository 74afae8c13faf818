#include "tools/train/run_places.h"

#include "engine/error.h"
#include "tools/train/checkpoint_files.h"

namespace ab {

Places places_of(const Options& options, std::vector<std::string>* warnings) {
  Places places{options.out, ""};
  if (options.resume.empty()) return places;
  if (options.resume == "auto" && options.out.empty())
    throw ConfigError("--resume auto: needs --out, the folder of the run to go on with");
  if (options.resume != "auto") {
    if (!options.out.empty() && options.out != options.resume)
      throw ConfigError("--resume " + options.resume + ": a run goes on in its own folder; leave " +
                        "--out " + options.out + " out");
    places.folder = options.resume;
  }
  places.checkpoint = newest_checkpoint(places.folder, warnings);
  if (places.checkpoint.empty() && options.resume != "auto")
    throw DataError("--resume " + options.resume + ": no complete checkpoint in it; runs write " +
                    "them every checkpoint.every_steps");
  return places;
}

void check_places(const Config& config, const Places& places, const Communicator& world,
                  const RankPlace& place) {
  if (config.checkpoint.every_steps && places.folder.empty() && world.size() > 1 &&
      !place.shares_process)
    throw ConfigError("checkpoint.every_steps: found " +
                      std::to_string(*config.checkpoint.every_steps) +
                      " without --out; name a folder that all ranks can write to");
}

}  // namespace ab
