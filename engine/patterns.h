// Name patterns of the configuration (decay_exclude, ab.exclude): a pattern with * (any run of
// characters, also empty) or ? (any one character) must match the whole name; one without them
// matches every name that contains it. "norm" hits "blocks.3.norm1.weight"; "blocks.?.norm*" as
// well.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace ab {

bool matches_pattern(std::string_view name, std::string_view pattern);
bool matches_any_pattern(std::string_view name, const std::vector<std::string>& patterns);

}  // namespace ab
