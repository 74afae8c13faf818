// The files of a run; see run_folder.h.
#include "tools/train/run_folder.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/train/options.h"

namespace ab {
namespace {

namespace fs = std::filesystem;

void make_folder(const std::string& path, bool resume) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error))
    throw ConfigError("--out " + path + ": is a file; choose a folder");
  if (!resume && holds_run(path))
    throw ConfigError("--out " + path +
                      ": already holds a run; choose another folder, or go on with --resume " +
                      path);
  if (resume && !holds_run(path))
    throw ConfigError("--resume " + path + ": holds no run; start one with --out " + path);
  fs::create_directories(path, error);
  if (error)
    throw ConfigError("--out " + path + ": cannot be made: " + error.message() +
                      "; choose a folder that you may write to");
  try {  // a folder that exists may still not be ours to write
    write_whole_file(path + "/.writable", "");
  } catch (const DataError& failure) {
    throw ConfigError("--out " + path + ": " + failure.what() +
                      "; choose a folder that you may write to");
  }
  fs::remove(path + "/.writable", error);
}

// Rewrites a file of JSON lines with those for which keep(line) holds; broken lines go.
template <class Keep>
void filter_lines(const std::string& path, Keep keep) {
  std::ifstream in(path);
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const Json record = Json::parse(line, nullptr, false);
    if (record.is_object() && keep(record)) kept += line + "\n";
  }
  in.close();
  write_whole_file(path, kept);
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace

bool holds_run(const std::string& folder) {
  for (const char* name : {"config.json", "metrics.jsonl", "summary.json", "checkpoints"})
    if (fs::exists(fs::path(folder) / name)) return true;
  return false;
}

RunFolder::RunFolder(std::string path, bool resume) : path_(std::move(path)) {
  make_folder(path_, resume);
  metrics_.emplace(file("metrics.jsonl"));
  ranks_.emplace(file("ranks.jsonl"));
}

void RunFolder::keep_up_to(int64_t step, int cycle) {
  const auto number = [](const Json& record, const char* key, int64_t otherwise) {
    return record.contains(key) && record[key].is_number() ? record[key].get<int64_t>() : otherwise;
  };
  metrics_.reset();
  ranks_.reset();
  filter_lines(file("metrics.jsonl"),
               [&](const Json& record) { return number(record, "step", step + 1) <= step; });
  filter_lines(file("ranks.jsonl"),
               [&](const Json& record) { return number(record, "cycle", cycle) < cycle; });
  metrics_.emplace(file("metrics.jsonl"));
  ranks_.emplace(file("ranks.jsonl"));
}

void RunFolder::write_config(const Config& config, const Resolved& resolved,
                             const RunPlace& place) {
  Json tree = to_json(config);
  tree["version"] = version_number();
  tree["commit"] = version_commit();
  tree["device"] = place.device;
  tree["world"] = place.world;
  tree["ranks_per_node"] = place.ranks_per_node;
  tree["hosts"] = place.hosts;
  tree["resolved"] = to_json(resolved);
  write_whole_file(file("config.json"), json_text(tree, 2) + "\n");
}

void RunFolder::write_step(const StepRecord& record) {
  metrics_->append({{"step", record.step},
                    {"epoch", record.epoch},
                    {"phase", record.phase},
                    {"cycle", record.cycle},
                    {"lr", record.lr},
                    {"loss", record.loss},
                    {"grad_norm", record.grad_norm},
                    {"images_per_s", record.images_per_s},
                    {"step_s", record.step_s},
                    {"comm_wait_s", record.comm_wait_s}});
  so_far_.steps = record.step;
}

void RunFolder::write_eval(const EvalRecord& record) {
  metrics_->append({{"step", record.step},
                    {"eval", Json{{"loss", record.loss},
                                  {"top1", record.top1},
                                  {"top5", record.top5},
                                  {"images", record.images}}}});
  so_far_.skipped_train_samples = record.skipped_in_training;
  so_far_.skipped_eval_images = record.skipped;
  so_far_.top1_last = record.top1;
  so_far_.top1_best = std::max(so_far_.top1_best.value_or(0.0), record.top1);
}

void RunFolder::write_ranks(const RankRecord& record) {
  const DecompositionReport& report = record.report;
  const std::vector<int64_t> places = spectrum_places(report.n);
  Json spectrum = Json::array();  // five places are more than a curve needs
  for (size_t i = 0; i < std::min(places.size(), report.spectrum.size()); ++i)
    spectrum.push_back({places[i], std::round(1e5 * report.spectrum[i]) / 1e5});
  ranks_->append({{"cycle", record.cycle},
                  {"layer", record.layer},
                  {"m", report.m},
                  {"n", report.n},
                  {"k", report.k},
                  {"sigma_max", report.sigma_max},
                  {"energy_lost", report.energy_lost},
                  {"residual", report.residual},
                  {"driver", report.driver},
                  {"ms", report.ms},
                  {"spectrum", spectrum}});
}

void RunFolder::write_ledger(const Ledger& all, const RankBytes& per_rank,
                             const std::vector<int>& nodes, int ranks_per_node) {
  const Json tree = {{"world", per_rank.sent.size()},
                     {"ranks_per_node", ranks_per_node},
                     {"entries", ledger_entries_json(all)},
                     {"nodes", nodes},
                     {"per_rank_sent_bytes", per_rank.sent},
                     {"per_rank_inter_node_sent_bytes", per_rank.inter_node},
                     {"inter_node_sent_bytes", all.inter_node_bytes()},
                     {"total_sent_bytes", all.sent_bytes()}};
  write_whole_file(file("ledger.json"), json_text(tree, 1) + "\n");
}

void RunFolder::write_summary(const Summary& summary) {
  const Json tree = {{"top1_last", or_null(summary.top1_last)},
                     {"top1_best", or_null(summary.top1_best)},
                     {"params_full", or_null(summary.params_full)},
                     {"params_now", or_null(summary.params_now)},
                     {"compression", or_null(summary.compression)},
                     {"total_sent_bytes", or_null(summary.total_sent_bytes)},
                     {"ddp_sent_bytes", or_null(summary.ddp_sent_bytes)},
                     {"traffic_reduction", or_null(summary.traffic_reduction)},
                     {"ecr_executed", or_null(summary.ecr_executed)},
                     {"ecr_literal", or_null(summary.ecr_literal)},
                     {"skipped_train_samples", or_null(summary.skipped_train_samples)},
                     {"skipped_eval_images", or_null(summary.skipped_eval_images)},
                     {"steps", summary.steps},
                     {"seconds", summary.seconds},
                     {"images_per_s", or_null(summary.images_per_s)},
                     {"peak_memory_bytes", or_null(summary.peak_memory_bytes)},
                     {"exit", summary.exit}};
  write_whole_file(file("summary.json"), json_text(tree, 2) + "\n");
}

void RunFolder::write_failure(int exit, double seconds) {
  so_far_.exit = exit;
  so_far_.seconds = seconds;
  write_summary(so_far_);
}

std::string default_run_folder(const std::string& config_file, const std::string& method,
                               std::time_t now) {
  std::tm local{};
  localtime_r(&now, &local);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
  return "runs/" + fs::path(config_file).stem().string() + "-" + method + "-" + stamp;
}

Json ledger_entries_json(const Ledger& ledger) {
  Json entries = Json::array();
  for (const auto& [key, entry] : ledger.entries()) {
    const double payload = static_cast<double>(entry.payload_bytes);
    entries.push_back(
        {{"phase", name_of(key.phase)},
         {"communicator", key.communicator},
         {"collective", name_of(key.collective)},
         {"purpose", name_of(key.purpose)},
         {"dtype", name_of(key.dtype)},
         {"calls", entry.calls},
         {"elements", entry.elements},
         {"payload_bytes", entry.payload_bytes},
         {"sent_bytes", entry.sent_bytes},
         {"inter_node_bytes", entry.inter_node_bytes},
         // bytes on the wire per byte handed over: 2(n-1)/n for a ring all-reduce
         {"factor", payload > 0 ? Json(static_cast<double>(entry.sent_bytes) / payload) : Json()}});
  }
  return entries;
}

}  // namespace ab
