// Reading a configuration: JSON text -> tree (syntax, duplicates) -> settings on top -> Config.
#include "tools/train/config.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "engine/error.h"
#include "tools/train/config_schema.h"

namespace ab {
namespace {

// Written into a run's config.json beside the settings; not read, so that the file can be used
// again.
constexpr const char* kProvenance[] = {"version",        "commit", "device",   "world",
                                       "ranks_per_node", "hosts",  "resolved", "started"};

std::string joined(const std::string& section, const std::string& name) {
  return section.empty() ? name : section + "." + name;
}

// "3:14" for the byte at which a parser stopped.
std::string line_and_column(const std::string& text, size_t byte) {
  const size_t end = std::min(byte > 0 ? byte - 1 : 0, text.size());
  const auto lines = std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(end), '\n');
  const size_t line_start = end == 0 ? std::string::npos : text.rfind('\n', end - 1);
  const size_t column = line_start == std::string::npos ? end + 1 : end - line_start;
  return std::to_string(lines + 1) + ":" + std::to_string(column);
}

// The library's reason without its own numbering and position.
std::string reason_of(const std::string& what) {
  const size_t at = what.find("syntax error ");
  if (at != std::string::npos) return what.substr(at);
  const size_t end = what.find("] ");
  return end == std::string::npos ? what : what.substr(end + 2);
}

// Follows the parser and remembers the keys of every open object.
class DuplicateCheck {
 public:
  explicit DuplicateCheck(const std::string& source) : source_(source) {}

  void see(Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      seen_.emplace_back();
      path_.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      seen_.pop_back();
      path_.pop_back();
    } else if (event == Json::parse_event_t::key) {
      path_.back() = parsed.get<std::string>();
      if (seen_.back().insert(path_.back()).second) return;
      std::string path;
      for (const std::string& name : path_) path = joined(path, name);
      throw ConfigError(source_ + ": key \"" + path + "\" stands twice; keep one of them");
    }
  }

 private:
  std::string source_;
  std::vector<std::set<std::string>> seen_;
  std::vector<std::string> path_;
};

std::string read_file(const std::string& file) {
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  const int error = in.is_open() ? (std::filesystem::is_directory(file) ? EISDIR : 0) : errno;
  if (error != 0)
    throw ConfigError("--config " + file + ": cannot be read: " + std::strerror(error) +
                      "; give a JSON file, for example one of models/configs");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct Reader {
  const std::string& source;
  const std::vector<Setting>& settings;
  Config& config;

  // The flag that set this key, or a part of it, or a section around it; else the file.
  std::string source_of(const std::string& path) const {
    for (auto s = settings.rbegin(); s != settings.rend(); ++s) {
      const std::string& shorter = s->key.size() < path.size() ? s->key : path;
      const std::string& longer = s->key.size() < path.size() ? path : s->key;
      if (longer == shorter || longer.compare(0, shorter.size() + 1, shorter + ".") == 0)
        return s->flag;
    }
    return source;
  }

  void read(const Json& object, const std::string& section) const {
    for (const auto& [name, value] : object.items()) {
      const std::string path = joined(section, name);
      if (const Key* key = find_key(path)) {
        key->read(value, {source_of(path), path, key->limits}, config);
      } else if (is_section(path)) {
        if (!value.is_object()) fail_value({source_of(path), path, {}}, value, "an object of keys");
        read(value, path);
      } else if (!section.empty() || std::find(std::begin(kProvenance), std::end(kProvenance),
                                               name) == std::end(kProvenance)) {
        throw ConfigError(source_of(path) + ": unknown key \"" + path +
                          "\"; the nearest known key is \"" + nearest_key(path) +
                          "\" (abtrain help-config lists all)");
      }
    }
  }
};

// Every value below `tree`; an object that is a key's own value stays whole.
void add_leaves(const Json& tree, const std::string& path, const std::string& source,
                std::vector<Setting>& settings) {
  if (tree.is_object() && find_key(path) == nullptr) {
    for (const auto& [name, value] : tree.items())
      add_leaves(value, joined(path, name), source, settings);
  } else {
    settings.push_back({path, tree.dump(), source});
  }
}

}  // namespace

Json parse_json_text(const std::string& text, const std::string& source) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw ConfigError(source + ": is empty; expected a JSON object, at least " +
                      R"({"model": {"name": "vgg16"}})");
  DuplicateCheck duplicates(source);
  try {
    return Json::parse(text, [&](int, Json::parse_event_t event, Json& parsed) {
      duplicates.see(event, parsed);
      return true;
    });
  } catch (const Json::parse_error& error) {
    throw ConfigError(source + ":" + line_and_column(text, error.byte) +
                      ": not valid JSON: " + reason_of(error.what()));
  } catch (const Json::out_of_range& error) {
    const std::string what = error.what();  // ... parsing '1e999'
    const size_t quote = what.find('\'');
    const size_t end = what.rfind('\'');
    const size_t at = quote == std::string::npos
                          ? std::string::npos
                          : text.find(what.substr(quote + 1, end - quote - 1));
    throw ConfigError(source +
                      (at == std::string::npos ? "" : ":" + line_and_column(text, at + 1)) +
                      ": a number is too large: " + reason_of(what));
  }
}

void apply_setting(Json& tree, const Setting& setting) {
  const std::string name = setting.flag + " " + setting.key;
  if (!tree.is_object()) tree = Json::object();
  Json* place = &tree;
  size_t from = 0;
  for (;;) {
    const size_t dot = setting.key.find('.', from);
    const std::string part = setting.key.substr(from, dot == std::string::npos ? dot : dot - from);
    if (part.empty())
      throw ConfigError(name + ": not a key; write --set section.key=value, as in " +
                        "--set ab.sigma_cutoff=0.1");
    if (!place->is_object() && !place->is_null())
      throw ConfigError(name + ": \"" + setting.key.substr(0, from - 1) +
                        "\" is a value in the file and has no keys of its own");
    place = &(*place)[part];
    if (dot == std::string::npos) break;
    from = dot + 1;
  }
  const Key* key = find_key(setting.key);
  const bool verbatim = key != nullptr && key->text && !(key->nullable && setting.value == "null");
  Json value = verbatim && setting.value.rfind('"', 0) != 0
                   ? Json(setting.value)
                   : Json::parse(setting.value, nullptr, false);
  *place = value.is_discarded() ? Json(setting.value) : value;
}

Config parse_config(const Json& tree, const std::string& source,
                    const std::vector<Setting>& settings) {
  if (!tree.is_object())
    throw ConfigError(source + ": found " + describe(tree) + ", expected a JSON object");
  Config config;
  Reader{source, settings, config}.read(tree, "");
  return config;
}

Config complete_config(const Json& tree, const std::string& source,
                       const std::vector<Setting>& settings) {
  Config config = parse_config(tree, source, settings);
  try {
    return with_model_defaults(std::move(config));
  } catch (const ConfigError& error) {
    const std::string what = error.what();
    for (const Setting& setting : settings)
      if (what.rfind(setting.key + ":", 0) == 0) throw ConfigError(setting.flag + " " + what);
    throw ConfigError(source + ": " + what);
  }
}

Config load_config(const std::string& file, const std::vector<Setting>& settings) {
  Json tree = parse_json_text(read_file(file), file);
  if (tree.is_object())
    for (const Setting& setting : settings) apply_setting(tree, setting);
  return complete_config(tree, file, settings);
}

std::vector<Setting> overlay_settings(const std::string& file) {
  const Json tree = parse_json_text(read_file(file), file);
  if (!tree.is_object())
    throw ConfigError(file + ": found " + describe(tree) + ", expected a JSON object");
  std::vector<Setting> settings;
  add_leaves(tree, "", file, settings);
  return settings;
}

}  // namespace ab
