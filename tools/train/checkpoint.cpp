#include "tools/train/checkpoint.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "distributed/traffic.h"
#include "engine/error.h"
#include "tools/train/file_write.h"
#include "tools/train/weights.h"

namespace ab {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 2;

std::string numbered(const char* pattern, int64_t number) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, static_cast<long long>(number));
  return text;
}

std::string image_file(const char* kind, int index) {
  return std::string(kind) + (index > 0 ? "-" + std::to_string(index) : "") + ".safetensors";
}

std::string rank_file(int rank, const char* kind = ".json") {
  return numbered("rank-%05lld", rank) + kind;
}

uint32_t crc_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(path + ": cannot be read");
  std::vector<char> block(1 << 20);
  uLong crc = crc32(0, nullptr, 0);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0)
    crc =
        crc32(crc, reinterpret_cast<const Bytef*>(block.data()), static_cast<uInt>(file.gcount()));
  return static_cast<uint32_t>(crc);
}

Json read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw DataError(path + ": cannot be read");
  Json tree = Json::parse(file, nullptr, false);
  if (!tree.is_object()) throw DataError(path + ": is not a JSON object");
  return tree;
}

// Moments of the trainable parameters in the file's layout, their update counts in registration
// order.
std::vector<SafetensorsSource> optimizer_sources(Replica& replica, std::vector<int64_t>& updates) {
  std::vector<SafetensorsSource> sources;
  for (const Parameter& p : replica.store.parameters()) {
    updates.push_back(replica.adamw.updates(p));
    if (!p.present || !p.trainable) continue;
    const auto add = [&](const std::string& kind, const Tensor& moment) {
      sources.push_back(
          {kind + p.name, DType::kFloat32, file_shape(p), [&replica, &p, moment](void* to) {
             const auto values = download(replica.store, p, moment);
             std::copy(values.begin(), values.end(), static_cast<float*>(to));
           }});
    };
    add("first.", replica.adamw.first_moment(p));
    add("second.", replica.adamw.second_moment(p));
  }
  sources.push_back(
      source_of("updates", DType::kInt64, {static_cast<int64_t>(updates.size())}, updates.data()));
  return sources;
}

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

// Name and tensor of what powersgd carries from step to step.
std::vector<std::pair<std::string, Tensor>> powersgd_state(const PowerSgd& powersgd) {
  std::vector<std::pair<std::string, Tensor>> state;
  if (powersgd.errors()) state.emplace_back("powersgd.errors", powersgd.errors());
  if (powersgd.starts()) state.emplace_back("powersgd.starts", powersgd.starts());
  return state;
}

void save_powersgd(const std::string& path, const PowerSgd& powersgd, Device& device) {
  std::vector<SafetensorsSource> sources;
  for (const auto& [name, tensor] : powersgd_state(powersgd))
    sources.push_back(
        {name, DType::kFloat32, {tensor.elements()}, [&device, tensor = tensor](void* to) {
           device.runtime().copy_to_host(device.stream(), to, tensor.data(), tensor.bytes());
         }});
  write_safetensors(path, sources);
}

void load_powersgd(const std::string& path, const PowerSgd& powersgd, Device& device) {
  const SafetensorsFile file(path);
  for (const auto& [name, tensor] : powersgd_state(powersgd)) {
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    file.read(file.expect(name, DType::kFloat32, {tensor.elements()}), values.data());
    device.runtime().copy_to_device(device.stream(), tensor.data(), values.data(), tensor.bytes());
  }
}

Json rank_json(const Ledger& ledger, int64_t skipped) {
  Json rows = Json::array();
  for (const auto& [key, e] : ledger.entries())
    rows.push_back({static_cast<int>(key.phase), key.communicator, static_cast<int>(key.collective),
                    static_cast<int>(key.purpose), static_cast<int>(key.dtype), e.calls, e.elements,
                    e.payload_bytes, e.sent_bytes, e.inter_node_bytes});
  return {{"ledger", rows}, {"skipped", skipped}};
}

void load_ledger(const Json& tree, Ledger& ledger) {
  for (const Json& row : tree.at("ledger")) {
    const LedgerKey key{static_cast<Phase>(row.at(0).get<int>()), row.at(1).get<std::string>(),
                        static_cast<Collective>(row.at(2).get<int>()),
                        static_cast<Purpose>(row.at(3).get<int>()),
                        static_cast<DType>(row.at(4).get<int>())};
    ledger.add(key, {row.at(5).get<int64_t>(), row.at(6).get<int64_t>(), row.at(7).get<int64_t>(),
                     row.at(8).get<int64_t>(), row.at(9).get<int64_t>()});
  }
}

// The ledger was saved before the ranks told one another that they had saved it.
void book_own_gather(Communicator& world) {
  world.ledger().add(
      {Phase::kCheckpoint, world.name(), Collective::kAllGather, Purpose::kCheckpoint,
       DType::kInt64},
      cost_of(Collective::kAllGather, 1, DType::kInt64, world.rank(), 0, world.nodes()));
}

Json state_json(const RunState& state, int world) {
  const auto or_null = [](const std::optional<double>& v) { return v ? Json(*v) : Json(); };
  return {{"version", kVersion},
          {"step", state.step},
          {"world", world},
          {"factored", state.factored},
          {"layer_ranks", state.layer_ranks},
          {"params_now", state.params_now},
          {"top1_last", or_null(state.top1_last)},
          {"top1_best", or_null(state.top1_best)}};
}

void write_parts(const std::string& path, const RunState& state, const CheckpointParts& parts) {
  fs::create_directories(path);
  if (parts.image.writer) {
    save_weights(parts.replica.store, path + "/" + image_file("weights", parts.image.index),
                 {{"step", std::to_string(state.step)}});
    std::vector<int64_t> updates;
    std::vector<SafetensorsSource> sources = optimizer_sources(parts.replica, updates);
    parts.stash.add_sources(sources);
    parts.rules.add_sources(sources);
    write_safetensors(path + "/" + image_file("optimizer", parts.image.index), sources);
  }
  if (parts.powersgd)
    save_powersgd(path + "/" + rank_file(parts.world.rank(), ".safetensors"), *parts.powersgd,
                  parts.replica.device);
  if (parts.world.rank() == 0)
    write_whole_file(path + "/state.json",
                     json_text(state_json(state, parts.world.size()), 1) + "\n");
  write_whole_file(path + "/" + rank_file(parts.world.rank()),
                   json_text(rank_json(parts.world.ledger(), parts.skipped)) + "\n");
}

// Names every file with its CRC and length; from here on the checkpoint counts.
void write_done(const std::string& path) {
  Json files = Json::object(), bytes = Json::object();
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (name == "DONE") continue;
    files[name] = crc_of(entry.path().string());
    bytes[name] = entry.file_size();
  }
  write_whole_file(path + "/DONE", json_text({{"crc32", files}, {"bytes", bytes}}, 1) + "\n");
  flush_folder(fs::path(path).parent_path().string());
}

bool is_done(const std::string& path) {
  return fs::exists(path + "/DONE");
}

// Oldest first; without the folder of a finished run that holds its weights alone.
std::vector<std::string> checkpoints_of(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder + "/checkpoints", error)) {
    const std::string path = entry.path().string();
    const bool weights_alone = is_done(path) && !fs::exists(path + "/state.json");
    if (entry.path().filename().string().starts_with("step-") && !weights_alone)
      paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Empty when the checkpoint is whole, else what is wrong with it.
std::string damage_of(const std::string& path) {
  if (!is_done(path)) return "it was not finished";
  try {
    const Json done = read_json(path + "/DONE");
    for (const auto& [name, crc] : done.at("crc32").items()) {
      const std::string file = (fs::path(path) / name).string();
      const auto length = done.at("bytes").at(name).get<uint64_t>();
      if (!fs::exists(file)) return name + " is missing";
      if (fs::file_size(file) != length)
        return name + " has " + std::to_string(fs::file_size(file)) + " bytes instead of " +
               std::to_string(length);
      if (crc_of(file) != crc.get<uint32_t>()) return name + " is damaged: its checksum differs";
    }
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void remove_older(const std::string& folder, int keep) {
  std::vector<std::string> done;
  for (const std::string& path : checkpoints_of(folder))
    if (is_done(path)) done.push_back(path);
  std::error_code ignored;
  for (size_t i = 0; i + static_cast<size_t>(keep) < done.size(); ++i) {
    fs::remove(done[i] + "/DONE", ignored);  // half a removal must not look whole
    fs::remove_all(done[i], ignored);
  }
}

}  // namespace

bool save_checkpoint(const std::string& folder, const RunState& state, const CheckpointParts& parts,
                     int keep, std::string* problem) {
  const std::string path = folder + "/checkpoints/" + numbered("step-%08lld", state.step);
  parts.world.ledger().set_phase(Phase::kCheckpoint);
  int64_t written = 1;
  try {
    write_parts(path, state, parts);
  } catch (const std::exception& error) {
    written = 0;
    *problem = error.what();
  }
  std::vector<int64_t> all(static_cast<size_t>(parts.world.size()));
  parts.world.all_gather(Purpose::kCheckpoint, &written, all.data(), 1, DType::kInt64);
  const bool whole = std::all_of(all.begin(), all.end(), [](int64_t w) { return w == 1; });
  if (!whole && problem->empty()) *problem = "another rank could not write its part";
  if (parts.world.rank() != 0) return whole;
  std::error_code ignored;
  if (!whole) {
    fs::remove_all(path, ignored);
    return false;
  }
  try {
    write_done(path);
  } catch (const std::exception& error) {
    *problem = error.what();
    return false;
  }
  remove_older(folder, keep);
  return true;
}

std::string newest_checkpoint(const std::string& folder, std::vector<std::string>* warnings) {
  std::vector<std::string> paths = checkpoints_of(folder);
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {
    const std::string damage = damage_of(*path);
    if (damage.empty()) return *path;
    warnings->push_back("checkpoint " + *path + " is passed over: " + damage);
  }
  return "";
}

RunState load_state(const std::string& checkpoint) {
  const std::string path = checkpoint + "/state.json";
  const Json tree = read_json(path);
  try {
    if (tree.at("version").get<int>() != kVersion)
      throw DataError(path + ": written by another version of the program");
    const auto number = [&](const char* key) {
      return tree.at(key).is_null() ? std::optional<double>() : tree.at(key).get<double>();
    };
    return {tree.at("step").get<int64_t>(),
            tree.at("factored").get<std::vector<int64_t>>(),
            tree.at("layer_ranks").get<LayerRanks>(),
            tree.at("params_now").get<int64_t>(),
            number("top1_last"),
            number("top1_best")};
  } catch (const Json::exception& error) {
    throw DataError(path + ": " + error.what());
  }
}

void load_checkpoint(const std::string& checkpoint, const CheckpointParts& parts) {
  const std::string state = checkpoint + "/state.json";
  const int64_t world = read_json(state).value("world", int64_t{0});
  if (world != parts.world.size())
    throw ConfigError("--resume: " + checkpoint + " was written by " + std::to_string(world) +
                      " ranks, there are " + std::to_string(parts.world.size()) +
                      "; start as many");
  load_weights(parts.replica.store, checkpoint + "/" + image_file("weights", parts.image.index));
  const SafetensorsFile optimizer(checkpoint + "/" + image_file("optimizer", parts.image.index));
  load_optimizer(optimizer, parts.replica);
  parts.stash.load(optimizer);
  parts.rules.load(optimizer);
  if (parts.powersgd)
    load_powersgd(checkpoint + "/" + rank_file(parts.world.rank(), ".safetensors"), *parts.powersgd,
                  parts.replica.device);
  const std::string rank = checkpoint + "/" + rank_file(parts.world.rank());
  try {
    const Json tree = read_json(rank);
    parts.world.ledger().clear();  // of the new start, which is set-up
    load_ledger(tree, parts.world.ledger());
    parts.skipped = tree.value("skipped", int64_t{0});
    book_own_gather(parts.world);
  } catch (const Json::exception& error) {
    throw DataError(rank + ": " + error.what());
  }
}

}  // namespace ab
