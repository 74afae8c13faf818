// Typed reading of configuration values; see config_values.h.
#include "tools/train/config_values.h"

#include <charconv>
#include <cmath>
#include <stdexcept>

#include "engine/error.h"

namespace ab {
namespace {

// The largest integer up to which every integer is a double of its own.
constexpr double kExactInteger = 9007199254740992.0;

std::string shortest_text(double value) {
  char buffer[32];
  const bool whole = value == std::floor(value) && std::abs(value) <= 1e15;
  const auto end = whole
                       ? std::to_chars(buffer, buffer + sizeof buffer, static_cast<int64_t>(value))
                       : std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, end.ptr};
}

bool within(double value, const Limits& limits) {
  return std::isfinite(value) && (limits.above_low ? value > limits.low : value >= limits.low) &&
         (limits.below_high ? value < limits.high : value <= limits.high);
}

std::string quoted_list(const std::vector<const char*>& words) {
  std::string text;
  for (const char* word : words) text += (text.empty() ? "\"" : ", \"") + std::string(word) + "\"";
  return text;
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? ""
                                    : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// The whole text as a finite number, or nothing.
std::optional<double> whole_number(const std::string& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

}  // namespace

std::string describe(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return (value.is_string() ? "text " : value.is_number() ? "number " : "") + text;
}

void fail_value(const Where& where, const Json& value, const std::string& expected) {
  throw ConfigError(where.source + ": " + where.key + ": found " + describe(value) + ", expected " +
                    expected);
}

std::string expectation(const std::string& kind, const Limits& limits) {
  std::string text = kind;
  if (std::isfinite(limits.low))
    text += (limits.above_low ? " above " : " of at least ") + shortest_text(limits.low);
  if (std::isfinite(limits.high)) {
    text += std::isfinite(limits.low) ? " and" : "";
    text += (limits.below_high ? " below " : " at most ") + shortest_text(limits.high);
  }
  return text;
}

int64_t read_integer(const Json& value, const Where& where, int64_t low, int64_t high) {
  Limits limits = where.limits;
  limits.low = std::max(limits.low, static_cast<double>(low));
  if (std::isinf(limits.high) && high < std::numeric_limits<int64_t>::max())
    limits.high = static_cast<double>(high);
  const std::string expected = expectation("an integer", limits);
  if (!value.is_number()) fail_value(where, value, expected);
  if (value.is_number_float()) {  // 1e4 is a fine way to write a number of steps
    const double number = value.get<double>();
    if (std::abs(number) > kExactInteger || number != std::floor(number) || !within(number, limits))
      fail_value(where, value, expected);
    return static_cast<int64_t>(number);
  }
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    fail_value(where, value, expected + ", at most 9223372036854775807");
  const int64_t number = value.get<int64_t>();
  if (number < low || number > high || !within(static_cast<double>(number), limits))
    fail_value(where, value, expected);
  return number;
}

void read_value(const Json& value, const Where& where, double& to) {
  if (!value.is_number() || !within(value.get<double>(), where.limits))
    fail_value(where, value, expectation("a number", where.limits));
  to = value.get<double>();
}

void read_value(const Json& value, const Where& where, bool& to) {
  if (!value.is_boolean()) fail_value(where, value, "true or false");
  to = value.get<bool>();
}

void read_value(const Json& value, const Where& where, std::string& to) {
  const auto& allowed = where.limits.allowed;
  const std::string expected = allowed.empty() ? "text" : "one of " + quoted_list(allowed);
  if (!value.is_string()) fail_value(where, value, expected);
  to = value.get<std::string>();
  if (allowed.empty()) return;
  for (const char* word : allowed)
    if (to == word) return;
  fail_value(where, value, expected);
}

void read_value(const Json& value, const Where& where, std::vector<std::string>& to) {
  const std::string expected = "a list of texts, for example [\"head*\"]";
  if (!value.is_array()) fail_value(where, value, expected);
  to.clear();
  for (const Json& item : value) {
    if (!item.is_string() || item.get_ref<const std::string&>().empty())
      throw ConfigError(where.source + ": " + where.key + ": found " + describe(item) +
                        " in the list, expected " + expected);
    to.push_back(item.get<std::string>());
  }
}

StepCount parse_step_count(const std::string& text) {
  const size_t percent = text.find('%');
  const auto number = whole_number(trimmed(text.substr(0, percent)));
  if (!number) throw std::invalid_argument("not a number of steps");
  if (percent == std::string::npos) {
    if (*number != std::floor(*number)) throw std::invalid_argument("not a whole number of steps");
    if (*number < 0 || *number > 1e15) throw std::invalid_argument("not from 0 to 1e15 steps");
    return {*number, StepCount::Of::kSteps};
  }
  const std::string of = trimmed(text.substr(percent + 1));
  if (!of.empty() && of != "of total" && of != "of ab_steps")
    throw std::invalid_argument("not a percentage of total or of ab_steps");
  if (*number < 0 || *number > 100) throw std::invalid_argument("not from 0% to 100%");
  return {*number, of == "of ab_steps" ? StepCount::Of::kAbSteps : StepCount::Of::kTotal};
}

std::string to_text(const StepCount& count) {
  if (count.of == StepCount::Of::kSteps) return shortest_text(count.value);
  return shortest_text(count.value) + (count.of == StepCount::Of::kTotal ? "%" : "% of ab_steps");
}

void read_value(const Json& value, const Where& where, StepCount& to) {
  const bool of_ab = where.limits.of_ab_steps;
  const std::string expected =
      std::string(
          "a whole number of steps from 0 up, or a percentage from 0% to 100% like \"20%\"") +
      (of_ab ? " or \"25% of ab_steps\"" : " of the total steps");
  if (value.is_number()) {
    const Limits none{};
    const Where plain{where.source, where.key, none};
    const bool negative = value.get<double>() < 0 || value.get<double>() > 1e15;
    if (negative || value.get<double>() != std::floor(value.get<double>()))
      fail_value(where, value, expected);
    to = {static_cast<double>(read_integer(value, plain, 0, int64_t{1} << 50)),
          StepCount::Of::kSteps};
    return;
  }
  if (!value.is_string()) fail_value(where, value, expected);
  try {
    to = parse_step_count(value.get<std::string>());
  } catch (const std::invalid_argument&) {
    fail_value(where, value, expected);
  }
  if (to.of == StepCount::Of::kAbSteps && !of_ab) fail_value(where, value, expected);
}

void read_value(const Json& value, const Where& where, CompatSchedule& to) {
  const std::string expected =
      "{\"W\": steps, \"S\": steps, \"D\": steps} with W >= 0 and 0 <= D < S, or null";
  if (!value.is_object() || value.size() != 3) fail_value(where, value, expected);
  const struct {
    const char* name;
    int64_t& to;
  } fields[] = {{"W", to.w}, {"S", to.s}, {"D", to.d}};
  for (const auto& field : fields) {
    if (!value.contains(field.name)) fail_value(where, value, expected);
    const Limits limits{.low = 0, .high = 1e15};
    field.to = read_integer(value[field.name], {where.source, where.key + "." + field.name, limits},
                            0, std::numeric_limits<int64_t>::max());
  }
  if (to.d >= to.s)
    throw ConfigError(where.source + ": " + where.key + ": found S = " + std::to_string(to.s) +
                      ", D = " + std::to_string(to.d) + ", expected " + expected);
}

}  // namespace ab
