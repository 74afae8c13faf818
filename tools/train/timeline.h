// Timeline: when rank 0 did what, in the trace event format that chrome://tracing and Perfetto
// open: one complete event ("ph": "X", microseconds) for each part of a step, border and
// evaluation.
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "tools/train/file_write.h"

namespace ab {

class Timeline {
 public:
  Timeline() = default;                // off until opened: a span then costs a clock reading
  void open(const std::string& path);  // throws DataError
  ~Timeline();                         // closes the array
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  // Lasts as long as the object.
  class Span {
   public:
    Span(Timeline& timeline, const char* name, int64_t step);
    ~Span();
    Span(const Span&) = delete;

   private:
    Timeline& timeline_;
    const char* name_;
    int64_t step_;
    double begin_;
  };

 private:
  double microseconds() const;

  std::optional<LineFile> file_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace ab
