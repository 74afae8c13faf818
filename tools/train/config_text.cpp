// What is written from the configuration's table: a config as JSON, the reference page, the key
// that a mistyped one was probably meant to be.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tools/train/config.h"
#include "tools/train/config_schema.h"

namespace ab {
namespace {

std::string section_of(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}
std::string name_in(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? path : path.substr(dot + 1);
}

// A right name in the wrong section counts as one edit, so that train.lr leads to adamw.lr.
int distance(const std::string& path, const std::string& known) {
  return std::min(edit_distance(path, known), edit_distance(name_in(path), name_in(known)) +
                                                  (section_of(path) == section_of(known) ? 0 : 1));
}

}  // namespace

int edit_distance(const std::string& a, const std::string& b) {
  const size_t width = b.size() + 1;
  std::vector<int> two_back(width), back(width), row(width);
  std::iota(back.begin(), back.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replaced = back[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = std::min({back[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], two_back[j - 2] + 1);
    }
    std::swap(two_back, back);
    std::swap(back, row);
  }
  return back[b.size()];
}

std::string nearest_key(const std::string& path) {
  std::string best;
  int best_distance = 1 << 30;
  const auto offer = [&](const std::string& known) {
    const int d = known.empty() ? best_distance : distance(path, known);
    if (d >= best_distance) return;
    best = known;
    best_distance = d;
  };
  for (const Key& key : config_schema()) {
    offer(key.path);
    offer(section_of(key.path));
  }
  return best;
}

Json to_json(const Config& config) {
  Json tree = Json::object();
  for (const Key& key : config_schema()) {
    std::string pointer = "/" + key.path;
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    tree[Json::json_pointer(pointer)] = key.write(config);
  }
  return tree;
}

std::string config_reference() {
  std::string text =
      "# Configuration\n\n"
      "A configuration is a JSON object of the sections below. `--set section.key=value` sets a "
      "key\n"
      "on the command line. An unknown key is an error. A default of null means: as in the paper "
      "for\n"
      "this model, or as the meaning says. This page is the output of `abtrain help-config`.\n\n"
      "| key | type | default | meaning |\n|---|---|---|---|\n";
  const Config defaults;
  for (const Key& key : config_schema()) {
    const bool required = key.path == "model.name";
    const std::string value = required ? "required" : key.write(defaults).dump();
    const char* quote = required ? "" : "`";
    text.append("| `").append(key.path).append("` | ").append(key.type).append(" | ");
    text.append(quote).append(value).append(quote).append(" | ").append(key.meaning).append(" |\n");
  }
  return text;
}

}  // namespace ab
