// MergeRules: what becomes of a weight's averaged factors A', B' at a merge, and what the rules
// remember for it. No rule sends a byte more than another. A0, B0: the factors as the cycle began,
// after the cut; the same on every rank.
//   all, learned        W = A' B'
//   mean_of_products    W = (A' B0 + A0 B') / 2, the mean of what the two halves of the groups
//   reached
//   outer = nesterov    D = A0 B0 - W,  u <- mu u + D,  W <- A0 B0 - lr (D + mu u)
//                       (Douillard et al., "DiLoCo", 2023: the outer step; u starts at zero)
// D leaves out what the decomposition cut off: otherwise the momentum would go on subtracting it.
// The outer step takes factored weights alone: the moments of the others live on through the cycle.
// One group (ab-nogroups) has no halves: there W = A' B' whatever ab.merge says.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tools/train/replica.h"
#include "tools/train/safetensors.h"

namespace ab {

class MergeRules {
 public:
  MergeRules(const Config& config, Replica& replica, bool in_groups);

  // The factors have just been installed.
  void begin_cycle();
  // W (out, in) in fp32, memory of the replica's border arena, from the averaged factors in place.
  Tensor merged(const FactoredWeight& weight);
  void end_cycle() { begun_.clear(); }

  // For checkpoints: "cycle.<factor>" and "outer.<weight>", as tensors of the shapes held.
  void add_sources(std::vector<SafetensorsSource>& sources) const;
  void load(const SafetensorsFile& file);

 private:
  struct Kept {
    Buffer memory;
    Tensor value;
  };
  Kept& keep(std::map<std::string, Kept>& in, const std::string& name, const Shape& shape);
  void step_outer(const std::string& name, const Tensor& w, const Tensor& w0);

  Replica& replica_;
  bool mean_of_products_, outer_;
  float lr_, momentum_;
  std::map<std::string, Kept> begun_;    // A0 and B0, by the factor's name
  std::map<std::string, Kept> momenta_;  // u, by the weight's name
};

}  // namespace ab
