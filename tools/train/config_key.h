// How config_schema.cpp makes the rows of its table: a key's type, reader and writer follow from
// its field's C++ type and limits.
#pragma once
#include <concepts>
#include <optional>
#include <string>
#include <vector>

#include "tools/train/config_schema.h"

namespace ab {

template <class T>
struct TypeName;
template <class T>
requires std::integral<T>
struct TypeName<T> {
  static constexpr const char* kText = "integer";
};
template <>
struct TypeName<double> {
  static constexpr const char* kText = "number";
};
template <>
struct TypeName<bool> {
  static constexpr const char* kText = "true, false";
};
template <>
struct TypeName<std::string> {
  static constexpr const char* kText = "text";
};
template <>
struct TypeName<std::vector<std::string>> {
  static constexpr const char* kText = "list of texts";
};
template <>
struct TypeName<StepCount> {
  static constexpr const char* kText = "steps, or \"x%\"";
};
template <>
struct TypeName<CompatSchedule> {
  static constexpr const char* kText = "{W, S, D}";
};
template <class T>
struct TypeName<std::optional<T>> : TypeName<T> {};

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

template <class Access>
Key make_key(const char* path, Access access, Limits limits, const char* meaning) {
  using T = std::remove_cvref_t<decltype(access(std::declval<Config&>()))>;
  std::string type;
  for (const char* word : limits.allowed) type += (type.empty() ? "" : ", ") + std::string(word);
  if (type.empty()) type = expectation(TypeName<T>::kText, limits);
  return {.path = path,
          .type = type,
          .meaning = meaning,
          .text = std::is_same_v<T, std::string> || std::is_same_v<T, std::optional<std::string>>,
          .nullable = kIsOptional<T>,
          .limits = limits,
          .read = [access](const Json& value, const Where& where,
                           Config& config) { read_value(value, where, access(config)); },
          .write = [access](const Config& config) { return write_value(access(config)); }};
}

// The path of a key is the name of its field.
#define AB_FIELD(...)                       \
#__VA_ARGS__, [](auto& config) -> auto& { \
    return config.__VA_ARGS__;              \
  }

inline Limits words(std::vector<const char*> allowed) {
  return {.allowed = std::move(allowed)};
}
inline Limits from(double low, double high) {
  return {.low = low, .high = high};
}
inline Limits at_least(double low) {
  return {.low = low};
}
inline Limits above_zero() {
  return {.low = 0.0, .above_low = true};
}
inline Limits below_one() {
  return {.low = 0.0, .high = 1.0, .below_high = true};
}

// "node" or a number; node is the empty optional.
template <class Access>
Key group_size_key(const char* path, Access access, const char* meaning) {
  Key key = make_key(path, access, from(1, 1e6), meaning);
  key.type = "node, or an integer of at least 1";
  key.read = [access](const Json& value, const Where& where, Config& config) {
    if (value.is_string() && value.get_ref<const std::string&>() != "node")
      fail_value(where, value, "\"node\" or an integer of at least 1");
    std::optional<int64_t>& to = access(config);
    to.reset();
    if (!value.is_string()) read_value(value, where, to);
  };
  key.write = [access](const Config& config) {
    const auto& size = access(config);
    return size ? Json(*size) : Json("node");
  };
  return key;
}

}  // namespace ab
