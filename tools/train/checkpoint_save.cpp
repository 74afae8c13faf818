// From a run to files: first copied (take_snapshot), then written (write_snapshot).
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "distributed/traffic.h"
#include "engine/error.h"
#include "tools/train/checkpoint.h"
#include "tools/train/checkpoint_files.h"
#include "tools/train/file_write.h"
#include "tools/train/weights.h"

namespace ab {
namespace {

// Moments of the trainable parameters in the file's layout, update counts in registration order.
std::vector<SafetensorsSource> optimizer_sources(Replica& replica, std::vector<int64_t>& updates) {
  std::vector<SafetensorsSource> sources;
  for (const Parameter& p : replica.store.parameters()) {
    updates.push_back(replica.adamw.updates(p));
    if (!p.present || !p.trainable) continue;
    const auto add = [&](const std::string& kind, const Tensor& moment) {
      sources.push_back(
          {kind + p.name, DType::kFloat32, file_shape(p), [&replica, &p, moment](void* to) {
             download(replica.store, p, moment, static_cast<float*>(to));
           }});
    };
    add("first.", replica.adamw.first_moment(p));
    add("second.", replica.adamw.second_moment(p));
  }
  sources.push_back(
      source_of("updates", DType::kInt64, {static_cast<int64_t>(updates.size())}, updates.data()));
  return sources;
}

std::vector<SafetensorsSource> powersgd_sources(const PowerSgd& powersgd, Device& device) {
  std::vector<SafetensorsSource> sources;
  for (const auto& [name, tensor] : carried_by(powersgd))
    sources.push_back(
        {name, DType::kFloat32, {tensor.elements()}, [&device, tensor = tensor](void* to) {
           device.runtime().copy_to_host(device.stream(), to, tensor.data(), tensor.bytes());
         }});
  return sources;
}

// The same sources over copies.
std::vector<SafetensorsSource> frozen(std::vector<SafetensorsSource> sources) {
  for (SafetensorsSource& source : sources) {
    const uint64_t bytes = bytes_of(source);
    const auto copy = std::make_shared_for_overwrite<char[]>(bytes);
    if (bytes > 0) source.fill(copy.get());
    source.fill = [copy, bytes](void* to) {
      if (bytes > 0) std::memcpy(to, copy.get(), bytes);
    };
  }
  return sources;
}

Json state_json(const RunState& state) {
  const auto or_null = [](const std::optional<double>& v) { return v ? Json(*v) : Json(); };
  return {{"version", kCheckpointVersion},
          {"step", state.step},
          {"world", state.layout.world},
          {"group_size", state.layout.group_size},
          {"global_batch", state.layout.global_batch},
          {"factored", state.factored},
          {"layer_ranks", state.layer_ranks},
          {"params_now", state.params_now},
          {"top1_last", or_null(state.top1_last)},
          {"top1_best", or_null(state.top1_best)}};
}

// With the gather that will tell the ranks that all of them have written.
Ledger settled_ledger(Communicator& world) {
  Ledger ledger = world.ledger();
  ledger.add({Phase::kCheckpoint, world.name(), Collective::kAllGather, Purpose::kCheckpoint,
              DType::kInt64},
             cost_of(Collective::kAllGather, 1, DType::kInt64, world.rank(), 0, world.nodes()));
  return ledger;
}

Json ledger_json(const Ledger& ledger) {
  Json rows = Json::array();
  for (const auto& [key, e] : ledger.entries())
    rows.push_back({static_cast<int>(key.phase), key.communicator, static_cast<int>(key.collective),
                    static_cast<int>(key.purpose), static_cast<int>(key.dtype), e.calls, e.elements,
                    e.payload_bytes, e.sent_bytes, e.inter_node_bytes});
  return rows;
}

}  // namespace

std::unique_ptr<Snapshot> take_snapshot(const std::string& path, const RunState& state,
                                        const CheckpointParts& parts) {
  auto taken = std::make_unique<Snapshot>();
  Snapshot& snapshot = *taken;
  snapshot.path = path;
  snapshot.rank = parts.world.rank();
  if (parts.image.writer) {
    snapshot.tensors.push_back(
        {image_file("weights", parts.image.index), frozen(weight_sources(parts.replica.store)),
         with_shapes(parts.replica.store, {{"step", std::to_string(state.step)}})});
    std::vector<int64_t> updates;
    std::vector<SafetensorsSource> sources = optimizer_sources(parts.replica, updates);
    parts.stash.add_sources(sources);
    parts.rules.add_sources(sources);
    snapshot.tensors.push_back(
        {image_file("optimizer", parts.image.index), frozen(std::move(sources)), {}});
  }
  if (parts.powersgd)
    snapshot.tensors.push_back({rank_file(snapshot.rank, ".safetensors"),
                                frozen(powersgd_sources(*parts.powersgd, parts.replica.device)),
                                {}});
  snapshot.state = state;
  snapshot.ledger = settled_ledger(parts.world);
  snapshot.skipped = parts.skipped;
  return taken;
}

void write_snapshot(const Snapshot& snapshot, const std::atomic<bool>& abandoned) {
  std::filesystem::create_directories(snapshot.path);
  std::vector<std::string> names;
  for (const Snapshot::Tensors& part : snapshot.tensors) {
    std::vector<SafetensorsSource> sources = part.sources;
    for (SafetensorsSource& source : sources)
      source.fill = [&abandoned, fill = source.fill](void* to) {
        if (abandoned) throw DataError("the run has ended");
        fill(to);
      };
    write_safetensors(snapshot.path + "/" + part.file, sources, part.metadata);
    names.push_back(part.file);
  }
  if (snapshot.rank == 0) {
    write_whole_file(snapshot.path + "/state.json",
                     json_text(state_json(snapshot.state), 1) + "\n");
    names.push_back("state.json");
  }
  Json own = {{"ledger", ledger_json(snapshot.ledger)}, {"skipped", snapshot.skipped}};
  own.update(listing_of(snapshot.path, names));
  write_whole_file(snapshot.path + "/" + rank_file(snapshot.rank), json_text(own) + "\n");
}

}  // namespace ab
