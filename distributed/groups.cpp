#include "distributed/groups.h"

#include "engine/error.h"

namespace ab {

bool groups_stay_on_nodes(const std::vector<int>& nodes, int group_size) {
  for (size_t rank = 1; rank < nodes.size(); ++rank)
    if (static_cast<int>(rank) % group_size != 0 && nodes[rank] != nodes[rank - 1]) return false;
  return true;
}

void check_nodes_are_groups(const std::vector<int>& nodes, int group_size) {
  if (groups_stay_on_nodes(nodes, group_size)) return;
  throw ConfigError(
      "group_size \"node\": the ranks of a node do not follow one another; start equally many "
      "on "
      "each, node by node (mpirun --map-by slot, srun --distribution=block), or set a number");
}

int count_groups(int world, int group_size, const std::string& key) {
  if (group_size > 0 && world % group_size == 0 && world / group_size >= 2)
    return world / group_size;
  const std::string found = key + " " + std::to_string(group_size) + " with " +
                            std::to_string(world) + (world == 1 ? " rank" : " ranks") + ": ";
  if (world < 2)
    throw ConfigError(found +
                      "group training needs two groups, so at least two ranks; start more "
                      "ranks or choose --method ab-nogroups or ddp");
  std::string sizes;
  for (int size = 1; size <= world / 2; ++size)
    if (world % size == 0) sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
  throw ConfigError(found + "the size must divide the ranks into two groups or more; " + sizes +
                    " would work");
}

}  // namespace ab
