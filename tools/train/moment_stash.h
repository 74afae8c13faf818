// MomentStash: AdamW moments that outlive a change of layout.
//   ab.moments = keep     W goes on with the moments it had before the last decomposition
//   ab.moments = project  so it does, and the trained factor of W = outer inner begins a cycle with
//                         what W's moments say of its gradient g inner^T or outer^T g:
//                           first   m inner^T       or  outer^T m
//                           second  v (inner^2)^T   or  (outer^2)^T v,  squares by element
//                         the first exact, as it is linear; the second for entries of g that do not
//                         depend on each other. Nothing travels: W's moments are the same
//                         everywhere
//   compat.moments        as keep, and A and B with those of the last cycle, cut or zero-padded to
//                         the new rank (the reference's rule)
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tools/train/replica.h"
#include "tools/train/safetensors.h"

namespace ab {

class MomentStash {
 public:
  // Remembers the moments of the trainable ones among W, A and B.
  void save(Replica& replica, const FactoredWeight& weight);
  // Puts remembered moments back where a tensor of that name is trainable again.
  void restore(Replica& replica, const FactoredWeight& weight);
  // Gives the trained factor of a weight, both factors in place, what W's remembered moments imply.
  void project(Replica& replica, const FactoredWeight& weight) const;

  // For checkpoints: as tensors "stash.first.<name>", "stash.second.<name>",
  // "stash.updates.<name>".
  void add_sources(std::vector<SafetensorsSource>& sources) const;
  void load(const SafetensorsFile& file);

 private:
  struct Moments {
    int64_t rows = 0, cols = 0, updates = 0;
    std::vector<float> first, second;
  };
  std::map<std::string, Moments> saved_;  // by parameter name
};

}  // namespace ab
