// Groups of the AB phase: contiguous blocks of `group_size` ranks. The first half of the groups
// trains A, the others B; with an odd count B gets one more, because A is the larger factor.
#pragma once
#include <string>
#include <vector>

namespace ab {

// Whether every group lives on one node, where nodes[i] is the node of rank i.
bool groups_stay_on_nodes(const std::vector<int>& nodes, int group_size);
// Throws ConfigError unless they do: "node" as group size promises it.
void check_nodes_are_groups(const std::vector<int>& nodes, int group_size);
// Number of groups. Throws ConfigError, naming the sizes that would work, unless group_size divides
// the world into two groups or more. key: what the user set the size with.
int count_groups(int world, int group_size, const std::string& key = "ab.group_size");

constexpr int group_of(int rank, int group_size) {
  return rank / group_size;
}
constexpr bool trains_a(int group, int groups) {
  return group < groups / 2;
}

}  // namespace ab
