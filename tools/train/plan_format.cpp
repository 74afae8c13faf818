#include "tools/train/plan_format.h"

#include <cstdarg>
#include <cstdio>

namespace ab {

std::string text_of(const char* pattern, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(line, sizeof line, pattern, arguments);
  va_end(arguments);
  return line;
}

std::string bytes_text(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  int unit = 0;
  while (bytes >= 1000.0 && unit < 5) {
    bytes /= 1000.0;
    ++unit;
  }
  return unit == 0 ? text_of("%.0f B", bytes) : text_of("%.2f %s", bytes, units[unit]);
}

std::string percent_text(double share) {
  return text_of("%.1f %%", 100.0 * share);
}

std::string seconds_text(double seconds) {
  if (seconds < 120.0) return text_of("%.2f s", seconds);
  return seconds < 7200.0 ? text_of("%.2f min", seconds / 60.0)
                          : text_of("%.2f h", seconds / 3600.0);
}

std::string hours_text(double hours) {
  return text_of(hours < 1.0 ? "%.4f" : "%.2f", hours);
}

std::string number_text(double value) {
  return text_of("%.2f", value);
}

}  // namespace ab
