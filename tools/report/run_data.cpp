#include "tools/report/run_data.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <set>
#include <sstream>

#include "engine/error.h"
#include "tools/report/html.h"

namespace ab::report {
namespace {

namespace fs = std::filesystem;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr int kNotesPerFile = 3;

double field(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>() : kNone;
}

// A count; what is no number, or none that a run can reach, is refused.
int64_t whole(const Json& record, const char* key) {
  const double value = field(record, key);
  if (!(std::fabs(value) < 9e15)) throw DataError(std::string("no number \"") + key + "\"");
  return static_cast<int64_t>(value);
}

std::string word(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : "";
}

// A whole JSON file; null with a note where there is none, or it cannot be read.
Json read_object(const fs::path& path, bool expected, std::vector<std::string>& notes) {
  std::ifstream file(path);
  if (!file) {
    if (expected) notes.push_back(path.string() + ": not there, or cannot be opened");
    return {};
  }
  std::stringstream text;
  text << file.rdbuf();
  Json tree = Json::parse(text.str(), nullptr, false);
  if (tree.is_object()) return tree;
  notes.push_back(path.string() + ": is no JSON object; what it told is left out");
  return {};
}

// Every line that is a JSON object goes to take(), which throws on what it cannot use.
void read_lines(const fs::path& path, std::vector<std::string>& notes,
                const std::function<void(const Json&)>& take) {
  std::ifstream file(path);
  if (!file) {
    notes.push_back(path.string() + ": not there, or cannot be opened");
    return;
  }
  int64_t row = 0, bad = 0;
  for (std::string line; std::getline(file, line);) {
    ++row;
    std::string problem;
    const Json record = Json::parse(line, nullptr, false);
    if (!record.is_object())
      problem = file.eof() ? "cut off" : "no JSON object";
    else
      try {
        take(record);
      } catch (const std::exception& error) {
        problem = error.what();
      }
    if (!problem.empty() && ++bad <= kNotesPerFile)
      notes.push_back(path.string() + ":" + std::to_string(row) + ": " + problem +
                      "; the line is left out");
  }
  if (bad > kNotesPerFile)
    notes.push_back(path.string() + ": " + std::to_string(bad - kNotesPerFile) +
                    " more lines are left out");
}

void take_metrics(const Json& record, RunData& run) {
  const int64_t step = whole(record, "step");
  const auto eval = record.find("eval");
  if (eval != record.end()) {
    if (!eval->is_object()) throw DataError("\"eval\" is no object");
    run.evals.push_back({step, field(*eval, "loss"), field(*eval, "top1"), field(*eval, "top5")});
    return;
  }
  const double cycle = field(record, "cycle");
  run.steps.push_back(
      {step, word(record, "phase"), std::fabs(cycle) < 1e9 ? static_cast<int>(cycle) : -1,
       field(record, "lr"), field(record, "loss"), field(record, "grad_norm"),
       field(record, "images_per_s"), field(record, "step_s"), field(record, "comm_wait_s")});
}

void take_ranks(const Json& record, RunData& run) {
  RankRow row{static_cast<int>(std::clamp<int64_t>(whole(record, "cycle"), 0, 1000000)),
              word(record, "layer"),
              whole(record, "m"),
              whole(record, "n"),
              whole(record, "k"),
              {}};
  const auto spectrum = record.find("spectrum");
  if (spectrum != record.end() && spectrum->is_array())
    for (const Json& point : *spectrum)
      if (point.is_array() && point.size() == 2 && point[0].is_number() && point[1].is_number() &&
          point[0] >= 1 && point[0] <= row.n)
        row.spectrum.emplace_back(point[0].get<int64_t>(), point[1].get<double>());
  run.ranks.push_back(std::move(row));
}

std::string path_tail(const std::string& folder, int parts) {
  fs::path path = fs::absolute(folder).lexically_normal(), tail;
  if (!path.has_filename()) path = path.parent_path();
  for (; parts > 0 && path.has_filename(); --parts, path = path.parent_path())
    tail = tail.empty() ? path.filename() : path.filename() / tail;
  return tail.string();
}

const char* meaning_of(int exit) {
  switch (exit) {
    case 2:
      return "usage or configuration";
    case 3:
      return "data";
    case 4:
      return "loss not finite";
    case 5:
      return "communication, or a rank was lost";
    case 6:
      return "device";
    case 75:
      return "checkpointed on request";
    default:
      return "a defect of the program";
  }
}

}  // namespace

double number_at(const Json& tree, const std::string& pointer) {
  const Json::json_pointer at(pointer);
  if (!tree.is_object() || !tree.contains(at) || !tree.at(at).is_number()) return kNone;
  return tree.at(at).get<double>();
}

std::string text_at(const Json& tree, const std::string& pointer) {
  const Json::json_pointer at(pointer);
  if (!tree.is_object() || !tree.contains(at) || !tree.at(at).is_string()) return "";
  return tree.at(at).get<std::string>();
}

std::optional<int> RunData::exit() const {
  const double code = number_at(summary, "/exit");
  if (!(code >= 0 && code < 256)) return {};
  return static_cast<int>(code);
}

int64_t RunData::last_step() const {
  return std::max(steps.empty() ? 0 : steps.back().step, evals.empty() ? 0 : evals.back().step);
}

double RunData::total_steps() const {
  return number_at(config, "/resolved/total_steps");
}

std::vector<PhaseStretch> RunData::phases() const {
  std::vector<PhaseStretch> all;
  for (const StepRow& row : steps) {
    if (all.empty() || all.back().phase != row.phase || all.back().cycle != row.cycle)
      all.push_back({row.phase, row.cycle, all.empty() ? row.step - 1 : all.back().to, row.step});
    all.back().to = row.step;
  }
  return all;
}

std::string RunData::status() const {
  std::string at = "at step " + std::to_string(last_step());
  if (std::isfinite(total_steps())) at += text_of(" of %.0f", total_steps());
  const std::optional<int> code = exit();
  if (!code) return "unfinished, " + at;
  if (*code == 0) return "done";
  return "exit " + std::to_string(*code) + ", " + meaning_of(*code) + ", " + at;
}

RunData read_run(const std::string& folder) {
  const fs::path path(folder);
  std::error_code error;
  if (!fs::is_directory(path, error))
    throw DataError(folder + ": is no folder; give the folders that abtrain train wrote (--out)");
  bool any = false;
  for (const char* name : {"config.json", "metrics.jsonl", "summary.json"})
    any |= fs::exists(path / name, error);
  if (!any)
    throw DataError(folder +
                    ": holds no run (config.json, metrics.jsonl, summary.json); give the "
                    "folder that abtrain train wrote (--out)");
  RunData run;
  run.folder = folder;
  run.config = read_object(path / "config.json", true, run.notes);
  read_lines(path / "metrics.jsonl", run.notes,
             [&](const Json& record) { take_metrics(record, run); });
  read_lines(path / "ranks.jsonl", run.notes, [&](const Json& record) { take_ranks(record, run); });
  run.summary = read_object(path / "summary.json", false, run.notes);
  run.ledger = read_object(path / "ledger.json", run.exit() == 0, run.notes);
  const auto by_step = [](const auto& a, const auto& b) { return a.step < b.step; };
  std::stable_sort(run.steps.begin(), run.steps.end(), by_step);
  std::stable_sort(run.evals.begin(), run.evals.end(), by_step);
  return run;
}

std::vector<RunData> read_runs(const std::vector<std::string>& folders) {
  std::vector<RunData> runs;
  for (const std::string& folder : folders) runs.push_back(read_run(folder));
  // As few parts of the path as tell the runs apart.
  for (int parts = 1; parts <= 8; ++parts) {
    std::set<std::string> names;
    for (RunData& run : runs) names.insert(run.name = path_tail(run.folder, parts));
    if (names.size() == runs.size()) break;
  }
  return runs;
}

}  // namespace ab::report
