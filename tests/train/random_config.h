// Settings of small runs, drawn from the index alone by a counter-based generator, so that every
// machine tests the same ones.
#pragma once
#include <string>
#include <vector>

#include "kernels/philox.h"

namespace ab {

struct DrawnRun {
  int world = 1, ranks_per_node = 1;
  std::string model;  // "vit" or "resnet"
  std::vector<std::string> settings;
  std::string text() const {
    std::string all =
        std::to_string(world) + " ranks, " + std::to_string(ranks_per_node) + " a node, " + model;
    for (const std::string& setting : settings) all += " " + setting;
    return all;
  }
};

class Draws {
 public:
  explicit Draws(uint64_t index) : index_(index) {}
  // One of the words.
  std::string of(const std::vector<std::string>& words) {
    return words[philox(0x706c616e, index_, next_++).x % words.size()];
  }
  int number(int low, int high) {  // both included
    return low + static_cast<int>(philox(0x706c616e, index_, next_++).x %
                                  static_cast<uint32_t>(high - low + 1));
  }

 private:
  uint64_t index_, next_ = 0;
};

inline void add_ab_settings(Draws& draws, std::vector<std::string>& settings) {
  const auto add = [&](const std::string& key, const std::string& value) {
    settings.push_back(key + "=" + value);
  };
  add("ab.warmup_steps", draws.of({"0", "1", "2", "40%"}));
  add("ab.ab_steps", draws.of({"1", "2", "3", "25%"}));
  add("ab.rebound_steps", draws.of({"0", "1", "2", "50% of ab_steps"}));
  if (draws.number(0, 4) == 0) add("ab.compat.schedule", R"({"W":2,"S":4,"D":1})");
  add("ab.sigma_cutoff", draws.of({"0", "0.15", "0.4", "0.7"}));
  add("ab.merge", draws.of({"all", "learned", "mean_of_products"}));
  add("ab.outer", draws.of({"none", "nesterov"}));
  if (draws.number(0, 3) == 0) {  // goes with neither of the others
    add("ab.compat.moments", "true");
  } else {
    add("ab.moments", draws.of({"zero", "keep", "project"}));
    add("ab.guard", draws.of({"false", "true"}));
  }
  add("ab.forward", draws.of({"auto", "dense", "thin"}));
}

// method: one of abtrain's, or empty: drawn too.
inline DrawnRun draw_run(uint64_t index, std::string method = "", int world = 0) {
  Draws draws(index);
  DrawnRun run;
  const std::vector<int> worlds = {1, 2, 3, 4, 6};
  const int drawn_world = worlds[static_cast<size_t>(draws.number(0, 4))];
  run.world = world > 0 ? world : drawn_world;
  run.ranks_per_node = draws.number(1, run.world);
  run.model = draws.of({"vit", "resnet"});
  const auto add = [&](const std::string& key, const std::string& value) {
    run.settings.push_back(key + "=" + value);
  };
  if (method.empty())
    method = run.world > 1 ? draws.of({"ddp", "ab", "ab", "ab-nogroups", "powersgd", "local-sgd"})
                           : draws.of({"ddp", "ab-nogroups", "powersgd"});
  add("method", method);
  std::vector<std::string> groups;  // sizes that leave two groups or more
  for (int size = 1; size <= run.world / 2; ++size)
    if (run.world % size == 0) groups.push_back(std::to_string(size));
  if (!groups.empty()) {
    add("ab.group_size", draws.of(groups));
    add("local_sgd.group_size", draws.of(groups));
  }
  add("train.steps", std::to_string(draws.number(4, 9)));
  add_ab_settings(draws, run.settings);
  add("powersgd.rank", draws.of({"1", "2", "5"}));
  add("powersgd.start_step", draws.of({"0", "2", "30%"}));
  add("powersgd.error_feedback", draws.of({"true", "false"}));
  add("powersgd.min_compression", draws.of({"0", "1", "2"}));
  add("local_sgd.start_step", draws.of({"0", "1", "30%"}));
  add("local_sgd.period", draws.of({"1", "2", "3", "4"}));
  add("local_sgd.moments", draws.of({"keep", "average"}));
  add("train.precision", draws.of({"fp32", "bf16"}));
  add("train.sync_bn", draws.of({"phase", "world", "off"}));
  add("train.eval_every", draws.of({"0", "0.34", "0.5", "1"}));
  add("train.log_every", draws.of({"1", "2", "5"}));
  add("train.init", draws.of({"orthogonal", "default"}));
  add("comm.reduce_dtype", draws.of({"fp32", "bf16"}));
  add("comm.bucket_mb", draws.of({"25", "0.01", "0.001"}));
  add("checkpoint.every_steps", draws.of({"null", "3"}));
  return run;
}

}  // namespace ab
