// Numbers of a plan as a person reads them.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "tools/train/config.h"

namespace ab {

// printf into a string of at most 511 characters.
std::string text_of(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

// "1.23 GB", "456.00 kB": powers of ten, as network rates are given.
std::string bytes_text(double bytes);
std::string percent_text(double share);  // 0.28: "28.0 %"
std::string seconds_text(double seconds);
std::string number_text(double value);  // two decimals
std::string hours_text(double hours);   // two decimals, four below one

// A number, or {"low", "high"} where the layers' ranks are not known.
template <class T>
Json between(T a, T b) {
  if (a == b) return a;
  return {{"low", a < b ? a : b}, {"high", a < b ? b : a}};
}

// A value written by between(): "x", or "x to y" where the two differ when printed.
template <class Text>
std::string ranged(const Json& value, Text text) {
  if (!value.is_object()) return text(value.get<double>());
  const std::string low = text(value.at("low").get<double>());
  const std::string high = text(value.at("high").get<double>());
  return low == high ? low : low + " to " + high;
}

}  // namespace ab
