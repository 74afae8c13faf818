// A configuration: JSON text to settings that fit together. What is accepted is written out and
// read again, to the same settings.
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tests/fuzz/target.h"
#include "tools/train/config.h"

namespace ab::fuzz {

bool read_untrusted(std::span<const uint8_t> bytes) {
  try {
    const std::string text(bytes.begin(), bytes.end());
    const Config config = complete_config(parse_json_text(text, "fuzzed"), "fuzzed");
    const Json written = to_json(config);
    ensure(to_json(parse_config(written, "written")) == written,
           "settings changed by a round trip");
    return true;
  } catch (const ConfigError& error) {
    return refused(error, "fuzzed");
  }
}

std::vector<Bytes> seeds() {
  return {bytes_of(R"({"model": {"name": "vgg16", "classes": 10, "image": 32, "width": 0.25},
 "data": {"format": "cifar10", "local_batch": 32, "workers": 1}, "train": {"epochs": 12},
 "adamw": {"lr": 0.001}, "ab": {"sigma_cutoff": 0.15, "group_size": 2, "exclude": ["fc1"]}})"),
          bytes_of(R"({"method": "ab", "model": {"name": "vit", "depth": 2, "dim": 64, "heads": 4,
 "patch": 4, "image": 32}, "train": {"steps": 100, "precision": "bf16"},
 "ab": {"ab_steps": "10%", "rebound_steps": "25% of ab_steps",
  "compat": {"schedule": {"W": 9300, "S": 3000, "D": 300}, "first_cut": false}}})")};
}

}  // namespace ab::fuzz
