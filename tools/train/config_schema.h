// The table of all configuration keys: how to read, write and explain each.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tools/train/config_values.h"

namespace ab {

struct Key {
  std::string path, type, meaning;
  bool text;  // --set takes the value as it stands
  bool nullable;
  Limits limits;
  std::function<void(const Json& value, const Where& where, Config& config)> read;
  std::function<Json(const Config& config)> write;
};

const std::vector<Key>& config_schema();
const Key* find_key(const std::string& path);
// "ab", "ab.compat", ...: a proper prefix of some key.
bool is_section(const std::string& path);

}  // namespace ab
