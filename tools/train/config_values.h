// Reading and writing one configuration value: type, range and allowed words are checked here, and
// every error reads "<source>: <key>: found <what>, expected <what would work>".
#pragma once
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/train/config.h"

namespace ab {

// What a value may be. `above_low`, `below_high`: the bound itself is excluded.
struct Limits {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool above_low = false, below_high = false;
  std::vector<const char*> allowed{};  // words
  bool of_ab_steps = false;            // a step count may be a share of ab_steps
};

struct Where {
  std::string source, key;
  const Limits& limits;
};

// A value in an error message: `text "abc"`, `number 3`, `null`, `a list`, ...
std::string describe(const Json& value);
[[noreturn]] void fail_value(const Where& where, const Json& value, const std::string& expected);
// "a number above 0 and at most 1"
std::string expectation(const std::string& kind, const Limits& limits);

// low and high: what the destination can hold.
int64_t read_integer(const Json& value, const Where& where, int64_t low, int64_t high);

void read_value(const Json& value, const Where& where, double& to);
void read_value(const Json& value, const Where& where, bool& to);
void read_value(const Json& value, const Where& where, std::string& to);
void read_value(const Json& value, const Where& where, std::vector<std::string>& to);
void read_value(const Json& value, const Where& where, StepCount& to);
void read_value(const Json& value, const Where& where, CompatSchedule& to);

template <class Integer>
requires std::integral<Integer>
void read_value(const Json& value, const Where& where, Integer& to) {
  const auto low = std::is_unsigned_v<Integer> ? 0 : std::numeric_limits<Integer>::min();
  const auto high = sizeof(Integer) < 8 ? static_cast<int64_t>(std::numeric_limits<Integer>::max())
                                        : std::numeric_limits<int64_t>::max();
  to = static_cast<Integer>(read_integer(value, where, static_cast<int64_t>(low), high));
}

template <class T>
void read_value(const Json& value, const Where& where, std::optional<T>& to) {
  if (value.is_null()) {
    to.reset();
  } else {
    to.emplace();
    read_value(value, where, *to);
  }
}

template <class T>
Json write_value(const T& value) {
  return value;
}
inline Json write_value(const StepCount& value) {
  return value.of == StepCount::Of::kSteps ? Json(static_cast<int64_t>(value.value))
                                           : Json(to_text(value));
}
inline Json write_value(const CompatSchedule& value) {
  return {{"W", value.w}, {"S", value.s}, {"D", value.d}};
}
template <class T>
Json write_value(const std::optional<T>& value) {
  return value ? write_value(*value) : Json();
}

}  // namespace ab
