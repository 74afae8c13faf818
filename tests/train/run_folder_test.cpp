// The run's folder: names and keys of the interface, bits that survive, refusals and full disks.
#include "tools/train/run_folder.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/train/scratch_folder.h"
#include "tools/train/exit_codes.h"
#include "tools/train/options.h"
#include "tools/train/progress.h"

namespace {

using namespace ab;
using Catch::Matchers::Contains;

std::vector<Json> lines_of(const std::string& path) {
  std::vector<Json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

Config small_config() {
  return with_model_defaults(parse_config(
      parse_json_text(R"({"method": "ab", "model": {"name": "vgg16"}, "ab": {"group_size": 2}})",
                      "test"),
      "test"));
}

}  // namespace

TEST_CASE("losses read back to the bit, non-finite ones as null") {
  ScratchFolder scratch;
  RunFolder folder(scratch / "run");
  const double values[] = {
      0.1, 1.0 / 3.0, 2.302585092994046, 5e-324, static_cast<double>(0.1f), 1.7976931348623157e308};
  for (const double value : values)
    folder.write_step({.step = 1, .phase = "warmup", .loss = value, .grad_norm = 1.0});
  folder.write_step({.step = 7,
                     .phase = "ab",
                     .cycle = 2,
                     .loss = std::nan(""),
                     .grad_norm = std::numeric_limits<double>::infinity()});
  // On disk while the run goes on.
  const auto lines = lines_of(scratch / "run/metrics.jsonl");
  REQUIRE(lines.size() == 7);
  for (size_t i = 0; i < 6; ++i) {
    const double read = lines[i]["loss"].get<double>();
    CHECK(std::memcmp(&read, &values[i], sizeof read) == 0);
  }
  CHECK((lines[6]["loss"].is_null() && lines[6]["grad_norm"].is_null()));
  CHECK(lines[6]["cycle"] == 2);
  CHECK(keys_of(lines[0]) == std::vector<std::string>{"step", "epoch", "phase", "cycle", "lr",
                                                      "loss", "grad_norm", "images_per_s", "step_s",
                                                      "comm_wait_s"});
}

TEST_CASE("evaluations, ranks and summary have the interface's keys") {
  ScratchFolder scratch;
  RunFolder folder(scratch / "run");
  folder.write_eval({.step = 40, .loss = 0.5, .top1 = 0.875, .top5 = 1.0, .images = 1000});
  CHECK(lines_of(scratch / "run/metrics.jsonl")[0].dump() ==
        R"({"step":40,"eval":{"loss":0.5,"top1":0.875,"top5":1.0,"images":1000}})");
  DecompositionReport report{.m = 8,
                             .n = 4,
                             .k = 2,
                             .sigma_max = 1.5f,
                             .energy_lost = 0.25f,
                             .residual = 0.5f,
                             .driver = "gram",
                             .ms = 3.5,
                             .spectrum = {1.0f, 0.5f, 0.25f, 0.000006f}};
  folder.write_ranks({.cycle = 1, .layer = "blocks.0.mlp.fc1", .report = report});
  CHECK(lines_of(scratch / "run/ranks.jsonl")[0].dump() ==
        R"({"cycle":1,"layer":"blocks.0.mlp.fc1","m":8,"n":4,"k":2,"sigma_max":1.5,)"
        R"("energy_lost":0.25,"residual":0.5,"driver":"gram","ms":3.5,)"
        R"("spectrum":[[1,1.0],[2,0.5],[3,0.25],[4,1e-05]]})");
  Summary summary;
  summary.top1_last = 0.875;
  summary.params_full = 100;
  folder.write_summary(summary);
  const Json written = Json::parse(contents(scratch / "run/summary.json"));
  CHECK(keys_of(written) ==
        std::vector<std::string>{"top1_last", "top1_best", "params_full", "params_now",
                                 "compression", "total_sent_bytes", "ddp_sent_bytes",
                                 "traffic_reduction", "ecr_executed", "ecr_literal",
                                 "skipped_train_samples", "skipped_eval_images", "steps", "seconds",
                                 "images_per_s", "peak_memory_bytes", "exit"});
  CHECK((written["top1_last"] == 0.875 && written["compression"].is_null()));
}

TEST_CASE("the ledger adds up and names the factor of each entry") {
  ScratchFolder scratch;
  RunFolder folder(scratch / "run");
  Ledger ledger;
  // Four ranks all-reduce 1000 floats: 4000 bytes each, together 2 (4-1) 4000 = 24000 on the wire.
  ledger.add(
      {Phase::kWarmup, "world", Collective::kAllReduce, Purpose::kGradients, DType::kFloat32},
      {.calls = 4,
       .elements = 4000,
       .payload_bytes = 16000,
       .sent_bytes = 24000,
       .inter_node_bytes = 12000});
  folder.write_ledger(ledger, {{6000, 6000, 6000, 6000}, {0, 6000, 0, 6000}}, {0, 0, 1, 1}, 2);
  const Json written = Json::parse(contents(scratch / "run/ledger.json"));
  CHECK((written["world"] == 4 && written["ranks_per_node"] == 2));
  CHECK((written["total_sent_bytes"] == 24000 && written["inter_node_sent_bytes"] == 12000));
  CHECK(written["nodes"] == Json::array({0, 0, 1, 1}));
  CHECK(written["per_rank_sent_bytes"] == Json::array({6000, 6000, 6000, 6000}));
  CHECK(written["per_rank_inter_node_sent_bytes"] == Json::array({0, 6000, 0, 6000}));
  const Json entry = written["entries"][0];
  for (const char* key : {"phase", "communicator", "collective", "purpose", "dtype", "calls",
                          "elements", "payload_bytes", "sent_bytes"})
    CHECK(entry.contains(key));
  CHECK((entry["communicator"] == "world" && entry["dtype"] == "fp32" && entry["calls"] == 4));
  CHECK(entry["factor"] == 1.5);  // 2 (n-1) / n
}

TEST_CASE("config.json tells settings, place and version, and is a configuration itself") {
  ScratchFolder scratch;
  RunFolder folder(scratch / "run");
  const Config config = small_config();
  folder.write_config(config, resolve(config, 50000, 4, 4),
                      {.device = "a CPU", .world = 4, .ranks_per_node = 4, .hosts = {"n0"}});
  const std::string file = scratch / "run/config.json";
  const Json written = Json::parse(contents(file));
  CHECK((written["world"] == 4 && written["device"] == "a CPU" && written["hosts"][0] == "n0"));
  CHECK(written["version"] == version_number());
  CHECK(written["commit"] == version_commit());
  CHECK(written["resolved"]["steps_per_epoch"] == 97);  // 50000 / (4 x 128) = 97.7
  CHECK(to_json(load_config(file)) == to_json(config));
  CHECK(!std::filesystem::exists(file + ".tmp"));
}

TEST_CASE("a folder that holds a run is refused, unless it is resumed") {
  ScratchFolder scratch;
  const std::string path = scratch / "deep/run";
  { RunFolder folder(path); }
  CHECK_THROWS_WITH(RunFolder(path),
                    Contains(path) && Contains("already holds a run") && Contains("--resume"));
  CHECK_THROWS_AS(RunFolder(path), ConfigError);
  CHECK_NOTHROW(RunFolder(path, true));
  CHECK_THROWS_WITH(RunFolder(scratch / "nothing", true), Contains("holds no run"));
  std::filesystem::create_directories(scratch / "log");
  write_file(scratch / "log/slurm-1.out", "x");
  CHECK_NOTHROW(RunFolder(scratch / "log"));
  write_file(scratch / "file", "x");
  CHECK_THROWS_WITH(RunFolder(scratch / "file"), Contains("is a file"));
  CHECK_THROWS_AS(RunFolder(scratch / "file/run"), ConfigError);
  CHECK_THROWS_AS(RunFolder("/proc/run"), ConfigError);
}

TEST_CASE("a resumed run drops what came after the checkpoint and a torn line") {
  ScratchFolder scratch;
  const std::string path = scratch / "run";
  {
    RunFolder folder(path);
    for (int64_t step = 1; step <= 5; ++step) folder.write_step({.step = step, .phase = "ab"});
    for (int cycle = 0; cycle < 3; ++cycle) folder.write_ranks({cycle, "a", {}});
  }
  std::ofstream(path + "/metrics.jsonl", std::ios::app) << "{\"step\":6,\"lo";
  RunFolder folder(path, true);
  folder.keep_up_to(3, 2);
  folder.write_step({.step = 4, .phase = "rebound"});
  const auto lines = lines_of(path + "/metrics.jsonl");
  REQUIRE(lines.size() == 4);
  CHECK((lines[2]["phase"] == "ab" && lines[3]["step"] == 4 && lines[3]["phase"] == "rebound"));
  CHECK(lines_of(path + "/ranks.jsonl").size() == 2);
}

TEST_CASE("a full disk is a data error that names the file") {
  if (!std::filesystem::exists("/dev/full")) return;
  LineFile file("/dev/full");
  try {
    file.append({{"step", 1}});
    FAIL("was written");
  } catch (const std::exception& error) {
    CHECK(exit_code_of(error) == 3);
    CHECK_THAT(error.what(), Contains("/dev/full: cannot be written: No space left on device"));
  }
  ScratchFolder scratch;
  CHECK_THROWS_AS(write_whole_file(scratch / "absent/x.json", "{}"), DataError);
}

TEST_CASE("the default folder is named after config, method and time") {
  std::tm noon{};
  noon.tm_year = 124;
  noon.tm_mon = 1;
  noon.tm_mday = 29;
  noon.tm_hour = 12;
  noon.tm_isdst = -1;
  CHECK(default_run_folder("models/configs/mnist/resnet_quickstart.json", "ab",
                           std::mktime(&noon)) == "runs/resnet_quickstart-ab-20240229-120000");
}

TEST_CASE("the progress line") {
  CHECK(progress_text({.step = 120,
                       .total = 400,
                       .phase = "ab",
                       .cycle = 2,
                       .loss = 1.83421,
                       .lr = 0.0031,
                       .images_per_s = 1234.4,
                       .seconds_left = 42.0}) ==
        "step 120/400  ab (cycle 2)  loss 1.8342  lr 3.1e-03  1234 images/s  0:42 left");
  CHECK(duration_text(725) == "12:05");
  CHECK(duration_text(3 * 3600 + 4 * 60 + 5) == "3:04:05");
  CHECK(duration_text(2 * 86400 + 61) == "2d 0:01:01");
  CHECK(duration_text(-1) == "?");
  CHECK(duration_text(std::nan("")) == "?");
}

TEST_CASE("elsewhere than on a terminal progress is plain lines, first and last among them") {
  ScratchFolder scratch;
  const std::string path = scratch / "log";
  std::FILE* out = std::fopen(path.c_str(), "w");
  {
    Progress progress(true, out);
    for (int64_t step = 1; step <= 100; ++step)
      progress.update({.step = step, .total = 100, .phase = "warmup"});
    Progress silent(false, out);
    silent.update({.step = 1, .total = 100, .phase = "warmup"});
    silent.note("unseen");
  }
  std::fclose(out);
  const std::string text = contents(path);
  CHECK_THAT(text, Contains("step 1/100  warmup") && Contains("? left\n") &&
                       Contains("step 100/100") && Contains("0:00 left\n"));
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find("unseen") == std::string::npos);
}
