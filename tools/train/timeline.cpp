#include "tools/train/timeline.h"

#include <exception>
#include <nlohmann/json.hpp>

namespace ab {

// The format's array need not be closed, so viewers read what a killed run leaves, too.
void Timeline::open(const std::string& path) {
  write_whole_file(path, "[\n");
  file_.emplace(path);
}

Timeline::~Timeline() {
  if (!file_) return;
  try {
    file_->append(
        {{"name", "process_name"}, {"ph", "M"}, {"pid", 0}, {"args", {{"name", "rank 0"}}}},
        "\n]\n");
  } catch (const std::exception&) {  // a full disk ends the timeline, not the run
  }
}

double Timeline::microseconds() const {
  const auto passed = std::chrono::steady_clock::now() - start_;
  return std::chrono::duration<double, std::micro>(passed).count();
}

Timeline::Span::Span(Timeline& timeline, const char* name, int64_t step)
    : timeline_(timeline), name_(name), step_(step), begin_(timeline.microseconds()) {}

Timeline::Span::~Span() {
  if (!timeline_.file_ || std::uncaught_exceptions() > 0) return;
  try {
    const double lasted = timeline_.microseconds() - begin_;
    timeline_.file_->append({{"name", name_},
                             {"ph", "X"},
                             {"ts", begin_},
                             {"dur", lasted},
                             {"pid", 0},
                             {"tid", 0},
                             {"args", {{"step", step_}}}},
                            ",\n");
  } catch (const std::exception&) {
    timeline_.file_.reset();  // a full disk ends the timeline, not the run
  }
}

}  // namespace ab
