// The header of a safetensors file on its own: parsing and checking, without a file.
#pragma once
#include "tools/train/safetensors.h"

namespace ab {

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // by offset
  Metadata metadata;
};

// text: the JSON, padding included; buffer_bytes: how many bytes follow it. Throws DataError that
// begins with `path`.
SafetensorsHeader parse_safetensors_header(const std::string& path, const std::string& text,
                                           uint64_t buffer_bytes);

}  // namespace ab
