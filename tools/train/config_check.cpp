#include "tools/train/config_check.h"

#include <algorithm>

#include "engine/error.h"
#include "tools/train/config_schema.h"
#include "tools/train/options.h"

namespace ab {
namespace {

constexpr uint64_t kFnvStart = 14695981039346656037u, kFnvPrime = 1099511628211u;

uint64_t fnv(const std::string& text, uint64_t hash = kFnvStart) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * kFnvPrime;
  return hash;
}

struct Fact {
  std::string key, value;
};

std::vector<Fact> facts_of(const Config& config) {
  std::vector<Fact> facts = {{"the program's version", version_text()}};
  for (const Key& key : config_schema())
    if (key.path != "data.dir" && key.path != "data.workers")
      facts.push_back({key.path, key.write(config).dump()});
  return facts;
}

}  // namespace

void check_same_config(const Config& config, Communicator& world) {
  const std::vector<Fact> facts = facts_of(config);
  std::vector<int64_t> mine;
  uint64_t whole = kFnvStart;
  for (const Fact& fact : facts) {
    mine.push_back(static_cast<int64_t>(fnv(fact.value)));
    whole = fnv(fact.key + fact.value, whole);
  }
  const std::vector<int64_t> wholes =
      world.all_gather(Purpose::kHash, std::vector<int64_t>(1, static_cast<int64_t>(whole)));
  if (std::all_of(wholes.begin(), wholes.end(), [&](int64_t w) { return w == wholes[0]; })) return;
  const std::vector<int64_t> all = world.all_gather(Purpose::kHash, mine);
  std::string text;
  for (size_t rank = 1; rank < wholes.size(); ++rank)
    for (size_t i = 0; i < facts.size(); ++i)
      if (all[rank * facts.size() + i] != all[i])
        text += (text.empty() ? "" : "; ") + std::string("rank ") + std::to_string(rank) +
                " has another value of " + facts[i].key + " than rank 0";
  throw ConfigError(text + "; start all ranks with the same command line");
}

}  // namespace ab
