#include "distributed/ledger_gather.h"

#include "distributed/traffic.h"
#include "engine/error.h"

namespace ab {
namespace {

constexpr int64_t kFields = 5;   // of a LedgerEntry
constexpr int64_t kPerRank = 3;  // sent bytes, inter-node bytes, hash of the keys

LedgerKey key_of(const std::string& communicator, Collective collective) {
  return {Phase::kEnd, communicator, collective, Purpose::kLedger, DType::kInt64};
}

// Adds what ranks [first, last) book for the gathering.
void add_own_entries(std::map<LedgerKey, LedgerEntry>& entries, const std::string& communicator,
                     const std::vector<int>& nodes, int first, int last) {
  LedgerEntry& gather = entries[key_of(communicator, Collective::kAllGather)];
  LedgerEntry& reduce = entries[key_of(communicator, Collective::kAllReduce)];
  const int64_t elements = kFields * static_cast<int64_t>(entries.size());
  for (int rank = first; rank < last; ++rank) {
    gather += cost_of(Collective::kAllGather, kPerRank, DType::kInt64, rank, 0, nodes);
    reduce += cost_of(Collective::kAllReduce, elements, DType::kInt64, rank, 0, nodes);
  }
}

int64_t hash_of_keys(const std::map<LedgerKey, LedgerEntry>& entries) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  const auto mix = [&](unsigned value) { hash = (hash ^ value) * 1099511628211u; };
  for (const auto& [key, entry] : entries) {
    for (const char c : key.communicator + '/') mix(static_cast<unsigned char>(c));
    mix(static_cast<unsigned>(key.phase));
    mix(static_cast<unsigned>(key.collective));
    mix(static_cast<unsigned>(key.purpose));
    mix(static_cast<unsigned>(key.dtype));
  }
  return static_cast<int64_t>(hash);
}

}  // namespace

void book_gather(std::map<LedgerKey, LedgerEntry>& sums, const std::vector<int>& nodes) {
  add_own_entries(sums, "world", nodes, 0, static_cast<int>(nodes.size()));
}

std::map<LedgerKey, LedgerEntry> gather_ledger(Communicator& world, RankBytes& per_rank) {
  world.ledger().set_phase(Phase::kEnd);
  auto entries = world.ledger().entries();
  add_own_entries(entries, world.name(), world.nodes(), world.rank(), world.rank() + 1);

  std::vector<int64_t> mine = {0, 0, hash_of_keys(entries)};
  for (const auto& [key, entry] : entries) {
    mine[0] += entry.sent_bytes;
    mine[1] += entry.inter_node_bytes;
  }
  const std::vector<int64_t> all = world.all_gather(Purpose::kLedger, mine);
  per_rank = {};
  for (int rank = 0; rank < world.size(); ++rank) {
    const int64_t* theirs = &all[static_cast<size_t>(rank) * kPerRank];
    if (theirs[2] != mine[2])
      throw CommunicationError(
          "ledger of rank " + std::to_string(world.rank()) + " (" + std::to_string(entries.size()) +
          " entries) and of rank " + std::to_string(rank) +
          " have different keys: these ranks took part in different collectives");
    per_rank.sent.push_back(theirs[0]);
    per_rank.inter_node.push_back(theirs[1]);
  }

  std::vector<int64_t> table;
  for (const auto& [key, e] : entries)
    table.insert(table.end(),
                 {e.calls, e.elements, e.payload_bytes, e.sent_bytes, e.inter_node_bytes});
  world.all_reduce(Purpose::kLedger, table.data(), static_cast<int64_t>(table.size()),
                   DType::kInt64);
  size_t at = 0;
  for (auto& [key, e] : entries) {
    e = {table[at], table[at + 1], table[at + 2], table[at + 3], table[at + 4]};
    at += kFields;
  }
  return entries;
}

}  // namespace ab
