// Progress: what rank 0 shows of a run. On a terminal one line that is rewritten in place,
// elsewhere (a batch system's log) a plain line every few seconds. Other ranks pass enabled =
// false.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace ab {

struct ProgressState {
  int64_t step = 0, total = 0;  // completed updates
  std::string phase;
  int cycle = -1;  // -1: not shown
  double loss = 0.0, lr = 0.0, images_per_s = 0.0, seconds_left = 0.0;
};

// "step 120/400  ab (cycle 2)  loss 1.8342  lr 3.1e-03  1234 images/s  0:42 left"
std::string progress_text(const ProgressState& state);
// "0:42", "12:05", "3:04:05", "2d 3:04:05"; "?" when not finite or negative.
std::string duration_text(double seconds);

class Progress {
 public:
  explicit Progress(bool enabled, std::FILE* out = stdout);
  ~Progress();
  Progress(const Progress&) = delete;

  // seconds_left is filled in here, from the pace of the run so far (from the first update on).
  void update(ProgressState state);
  // A lasting line: an evaluation, a border. Does not tear the line in place.
  void note(const std::string& text);
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  bool enabled_, terminal_;
  std::FILE* out_;
  Clock::time_point first_time_, last_shown_;
  int64_t first_step_ = -1;
  size_t shown_width_ = 0;
};

}  // namespace ab
