#include "tools/train/replica_check.h"

#include <algorithm>
#include <map>

#include "distributed/groups.h"
#include "engine/error.h"

namespace ab {
namespace {

using Words = std::vector<int64_t>;

// Ranks whose word is not the one that most ranks of their side hold (the lower rank's on a draw).
std::vector<int> odd_ones(const Words& words, const std::vector<int>& side) {
  std::vector<int> odd;
  for (size_t r = 0; r < words.size(); ++r) {
    std::map<int64_t, int> votes;
    for (size_t o = 0; o < words.size(); ++o)
      if (side[o] == side[r]) ++votes[words[o]];
    int64_t most = words[r];
    for (size_t o = words.size(); o-- > 0;)
      if (side[o] == side[r] && votes[words[o]] >= votes[most]) most = words[o];
    if (words[r] != most) odd.push_back(static_cast<int>(r));
  }
  return odd;
}

int64_t folded(const Words& words) {
  uint64_t sum = 0;
  for (const int64_t word : words) sum = sum * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(word);
  return static_cast<int64_t>(sum);
}

std::string listed(const std::vector<int>& ranks) {
  std::string text;
  for (const int rank : ranks) text += (text.empty() ? "" : ", ") + std::to_string(rank);
  return (ranks.size() > 1 ? "ranks " : "rank ") + text;
}

}  // namespace

ReplicaCheck::ReplicaCheck(const Config& config, Replica& replica, Communicator& world,
                           const GroupPlace& place)
    : config_(config), replica_(replica), world_(world), place_(place) {}

ReplicaCheck::Parameters ReplicaCheck::everything(bool statistics) const {
  Parameters all;
  for (const Parameter& p : replica_.store.parameters())
    if (p.present) all.push_back(&p);
  for (const Parameter& p : replica_.store.buffers())
    if (statistics) all.push_back(&p);
  return all;
}

ReplicaCheck::Parameters ReplicaCheck::factorable() const {
  Parameters weights;
  for (const FactoredWeight* weight : replica_.factorable)
    for (const Parameter* p : {&weight->dense(), &weight->a(), &weight->b()})
      if (p->present) weights.push_back(p);
  return weights;
}

// Moments that nobody averaged (compat.moments) let the unfactored parameters drift after a merge,
// as they do in the reference; then only the factored weights are compared.
void ReplicaCheck::whole(const std::string& when) {
  compare(world_, config_.ab.compat.moments ? factorable() : everything(true), when,
          std::vector<int>(static_cast<size_t>(world_.size()), 0));
}

void ReplicaCheck::together(Communicator& communicator, const std::string& when) {
  const bool drifts =
      config_.ab.compat.moments && communicator.size() > place_.communicator->size();
  compare(communicator, drifts ? factorable() : everything(config_.train.sync_bn != "off"), when,
          std::vector<int>(static_cast<size_t>(communicator.size()), 0));
}

void ReplicaCheck::before_merge() {
  if (place_.count == 1) return;
  together(*place_.communicator, "in group " + std::to_string(place_.index) + " before merging");
  Parameters frozen;
  for (const FactoredWeight* weight : replica_.factorable)
    if (weight->factored()) frozen.push_back(place_.trains_a ? &weight->b() : &weight->a());
  std::vector<int> side;
  const int group_size = world_.size() / place_.count;
  for (int r = 0; r < world_.size(); ++r)
    side.push_back(trains_a(r / group_size, place_.count) ? 1 : 0);
  compare(world_, frozen, "before merging, in factors that nobody trained", side);
}

void ReplicaCheck::compare(Communicator& communicator, const Parameters& parameters,
                           const std::string& when, const std::vector<int>& side) {
  Words mine;
  for (const uint64_t hash : replica_.hashes_of(parameters))
    mine.push_back(static_cast<int64_t>(hash));
  const Words sums = communicator.all_gather(Purpose::kHash, Words(1, folded(mine)));
  if (odd_ones(sums, side).empty()) return;
  const Words all = communicator.all_gather(Purpose::kHash, mine);
  int differing = 0;
  std::string first;
  for (size_t i = 0; i < mine.size(); ++i) {
    Words one;
    for (int r = 0; r < communicator.size(); ++r) one.push_back(all[r * mine.size() + i]);
    const std::vector<int> odd = odd_ones(one, side);
    if (odd.empty() || differing++ > 0) continue;
    first = parameters[i]->name;
    // The other side holds the other factor of the same weight frozen.
    if (side[static_cast<size_t>(odd[0])] != side[static_cast<size_t>(communicator.rank())])
      first.back() = first.back() == 'A' ? 'B' : 'A';
    first += " on " + listed(odd);
  }
  throw CommunicationError("replicas differ " + when + " (communicator " + communicator.name() +
                           ", " + std::to_string(communicator.size()) + " ranks, step " +
                           std::to_string(world_.ledger().step()) + "): " + first +
                           " is not what the other ranks hold; " + std::to_string(differing) +
                           " of " + std::to_string(mine.size()) + " tensors differ");
}

}  // namespace ab
