#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/train/checkpoint.h"
#include "tools/train/checkpoint_files.h"
#include "tools/train/weights.h"

namespace ab {
namespace {

void load_optimizer(const SafetensorsFile& file, Replica& replica) {
  std::vector<int64_t> updates(replica.store.parameters().size());
  file.read(file.expect("updates", DType::kInt64, {static_cast<int64_t>(updates.size())}),
            updates.data());
  size_t index = 0;
  for (const Parameter& p : replica.store.parameters()) {
    replica.adamw.updates(p) = updates[index++];
    if (!p.present || !p.trainable) continue;
    std::vector<float> values(static_cast<size_t>(p.shape.elements()));
    const auto take = [&](const std::string& kind, const Tensor& moment) {
      file.read(file.expect(kind + p.name, DType::kFloat32, file_shape(p)), values.data());
      upload(replica.store, p, moment, values);
    };
    take("first.", replica.adamw.first_moment(p));
    take("second.", replica.adamw.second_moment(p));
  }
}

void load_powersgd(const std::string& path, const PowerSgd& powersgd, Device& device) {
  const SafetensorsFile file(path);
  for (const auto& [name, tensor] : carried_by(powersgd)) {
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    file.read(file.expect(name, DType::kFloat32, {tensor.elements()}), values.data());
    device.runtime().copy_to_device(device.stream(), tensor.data(), values.data(), tensor.bytes());
  }
}

void add_ledger(const Json& tree, Ledger& ledger) {
  for (const Json& row : tree.at("ledger")) {
    const LedgerKey key{static_cast<Phase>(row.at(0).get<int>()), row.at(1).get<std::string>(),
                        static_cast<Collective>(row.at(2).get<int>()),
                        static_cast<Purpose>(row.at(3).get<int>()),
                        static_cast<DType>(row.at(4).get<int>())};
    ledger.add(key, {row.at(5).get<int64_t>(), row.at(6).get<int64_t>(), row.at(7).get<int64_t>(),
                     row.at(8).get<int64_t>(), row.at(9).get<int64_t>()});
  }
}

// What this rank did so far: of the saved rank of its number, and of those that have no successor
// of theirs. A rank that is new has taken part in the same collectives as all, at no cost.
void load_rank(const std::string& checkpoint, int saved_world, const CheckpointParts& parts) {
  Ledger& ledger = parts.world.ledger();
  const int world = parts.world.size(), rank = parts.world.rank();
  ledger.clear();  // of the new start, which is set-up
  parts.skipped = 0;
  for (int saved = rank < saved_world ? rank : 0; saved < saved_world; saved += world) {
    const std::string path = checkpoint + "/" + rank_file(saved);
    try {
      const Json tree = read_json(path);
      add_ledger(tree, ledger);
      parts.skipped += tree.at("skipped").get<int64_t>();
    } catch (const Json::exception& error) {
      throw DataError(path + ": " + error.what());
    }
  }
  if (rank < saved_world) return;
  parts.skipped = 0;
  const Ledger first = ledger;
  ledger.clear();
  for (const auto& [key, entry] : first.entries()) ledger.add(key, {});
}

}  // namespace

std::vector<std::pair<std::string, Tensor>> carried_by(const PowerSgd& powersgd) {
  std::vector<std::pair<std::string, Tensor>> state;
  if (powersgd.errors()) state.emplace_back("powersgd.errors", powersgd.errors());
  if (powersgd.starts()) state.emplace_back("powersgd.starts", powersgd.starts());
  return state;
}

RunState load_state(const std::string& checkpoint) {
  const std::string path = checkpoint + "/state.json";
  const Json tree = read_json(path);
  try {
    if (tree.at("version").get<int>() != kCheckpointVersion)
      throw DataError(path + ": written by another version of the program");
    const auto number = [&](const char* key) {
      return tree.at(key).is_null() ? std::optional<double>() : tree.at(key).get<double>();
    };
    return {{tree.at("world").get<int>(), tree.at("group_size").get<int>(),
             tree.at("global_batch").get<int64_t>()},
            tree.at("step").get<int64_t>(),
            tree.at("factored").get<std::vector<int64_t>>(),
            tree.at("layer_ranks").get<LayerRanks>(),
            tree.at("params_now").get<int64_t>(),
            number("top1_last"),
            number("top1_best")};
  } catch (const Json::exception& error) {
    throw DataError(path + ": " + error.what());
  }
}

void load_checkpoint(const std::string& checkpoint, const RunState& state,
                     const CheckpointParts& parts) {
  load_weights(parts.replica.store, checkpoint + "/" + image_file("weights", parts.image.index));
  const SafetensorsFile optimizer(checkpoint + "/" + image_file("optimizer", parts.image.index));
  load_optimizer(optimizer, parts.replica);
  parts.stash.load(optimizer);
  parts.rules.load(optimizer);
  if (parts.powersgd && parts.world.size() == state.layout.world)  // else it has not begun
    load_powersgd(checkpoint + "/" + rank_file(parts.world.rank(), ".safetensors"), *parts.powersgd,
                  parts.replica.device);
  load_rank(checkpoint, state.layout.world, parts);
}

}  // namespace ab
