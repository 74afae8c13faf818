#include "tests/train/run_fixture.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "distributed/ledger_gather.h"
#include "tests/catch.h"

namespace ab {
namespace {

const char* kTinyVit = R"({
  "model": {"name": "vit", "classes": 4, "image": 8, "patch": 4, "dim": 16, "depth": 2, "heads": 2,
            "drop_path": 0.0},
  "data": {"format": "synthetic", "synthetic_images": 96, "local_batch": 4, "augment": "none",
           "workers": 1},
  "train": {"steps": 12, "eval_every": 1},
  "adamw": {"lr": 0.003, "weight_decay": 0.05},
  "schedule": {"warmup_epochs": 0.5},
  "ab": {"warmup_steps": 3, "ab_steps": 4, "rebound_steps": 1, "lr_rebound_steps": 2,
         "group_size": 2}
})";

const char* kTinyResnet = R"({
  "model": {"name": "resnet18", "classes": 4, "image": 16, "width": 0.0625, "dropout": 0.0},
  "data": {"format": "synthetic", "synthetic_images": 96, "local_batch": 4, "augment": "cifar",
           "workers": 1},
  "train": {"steps": 12, "eval_every": 1},
  "adamw": {"lr": 0.003, "weight_decay": 0.05},
  "schedule": {"warmup_epochs": 0.5},
  "ab": {"warmup_steps": 3, "ab_steps": 4, "rebound_steps": 1, "lr_rebound_steps": 2,
         "group_size": 2}
})";

std::vector<float> values_of(Replica& replica) {
  std::vector<float> values;
  const auto add = [&](const Tensor& t) {
    if (!t) return;
    const size_t at = values.size();
    values.resize(at + static_cast<size_t>(t.elements()));
    replica.device.runtime().copy_to_host(replica.device.stream(), values.data() + at, t.data(),
                                          t.bytes());
  };
  for (const Parameter& p : replica.store.parameters()) add(p.value);
  add(replica.store.buffer_values());
  return values;
}

}  // namespace

Config tiny_config(const std::string& model, const std::vector<std::string>& changes) {
  Json tree = parse_json_text(model == "vit" ? kTinyVit : kTinyResnet, "tiny");
  std::vector<Setting> settings;
  for (const std::string& change : changes) {
    const size_t equals = change.find('=');
    settings.push_back({change.substr(0, equals), change.substr(equals + 1), "--set " + change});
    apply_setting(tree, settings.back());
  }
  return with_model_defaults(parse_config(tree, "tiny", settings));
}

FinishedRun run_training(const Config& config, int ranks, int ranks_per_node, int threads,
                         const RunPlaces& places) {
  const int per_node = ranks_per_node > 0 ? ranks_per_node : ranks;
  ScratchFolder scratch;
  const std::string path = places.folder.empty() ? scratch / "run" : places.folder;
  FinishedRun run;
  run.weights.resize(static_cast<size_t>(ranks));
  const auto train = open_dataset(data_settings(config), Split::kTrain);
  const auto test = open_dataset(data_settings(config), Split::kTest);
  run_local_ranks(ranks, per_node, [&](Communicator& below) {
    const Resolved resolved = resolve(config, train->size(), ranks, per_node);
    const auto device = Device::create(places.device, below.rank(), threads);
    const auto gpu_world = device_world(below, *device);
    Communicator& world = gpu_world ? *gpu_world : below;
    Progress silent(false);
    std::optional<RunFolder> folder;
    if (world.rank() == 0) folder.emplace(path, !places.resume_from.empty());
    Trainer trainer({config, resolved, world, *device, *train, *test, folder ? &*folder : nullptr,
                     &silent, path, places.resume_from});
    const TrainingResult result = trainer.run();
    world.ledger().set_phase(Phase::kEnd);
    RankBytes per_rank;
    const auto ledger = gather_ledger(world, per_rank);
    run.weights[static_cast<size_t>(world.rank())] = values_of(trainer.replica());
    if (world.rank() != 0) return;
    run.result = result;
    run.ledger = ledger;
    run.spans = make_run_plan(config, resolved).spans;
  });
  std::ifstream metrics(path + "/metrics.jsonl");
  for (std::string line; std::getline(metrics, line);) {
    const Json row = Json::parse(line);
    if (row.contains("loss")) run.losses.push_back(row["loss"].get<double>());
  }
  return run;
}

std::map<LedgerKey, LedgerEntry> planned(const Config& config, int ranks, int ranks_per_node,
                                         const LayerRanks& kept) {
  const auto train = open_dataset(data_settings(config), Split::kTrain);
  const Resolved resolved = resolve(config, train->size(), ranks, ranks_per_node);
  const auto dry = Device::create(DeviceKind::kDry);
  Replica replica(config, resolved, *dry);
  return plan_traffic(config, resolved, {ranks, ranks_per_node}, replica, kept);
}

void check_close(const std::vector<double>& a, const std::vector<double>& b, size_t steps) {
  REQUIRE(a.size() >= steps);
  REQUIRE(b.size() >= steps);
  for (size_t i = 0; i < steps; ++i) {
    INFO("step " << i + 1);
    CHECK(std::abs(a[i] - b[i]) < kRounding * std::abs(b[i]));
  }
}

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    difference += d * d;
    norm += static_cast<double>(b[i]) * b[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace ab
