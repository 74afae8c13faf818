// See progress.h. A terminal's line is cleared by overwriting, so that it needs no escape codes.
#include "tools/train/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdlib>

namespace ab {
namespace {

constexpr double kTerminalSeconds = 0.1;  // between two paints
constexpr double kPlainSeconds = 5.0;     // between two lines of a log

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char buffer[128];
  std::snprintf(buffer, sizeof buffer, pattern, values...);
  return buffer;
}

}  // namespace

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const auto whole = static_cast<long long>(std::llround(seconds));
  const long long days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  if (days > 0) return format("%lldd %lld:%02lld:%02lld", days, hours, minutes, whole % 60);
  if (hours > 0) return format("%lld:%02lld:%02lld", hours, minutes, whole % 60);
  return format("%lld:%02lld", minutes, whole % 60);
}

std::string progress_text(const ProgressState& state) {
  std::string text = format("step %lld/%lld  ", static_cast<long long>(state.step),
                            static_cast<long long>(state.total));
  text += state.phase;
  if (state.cycle >= 0) text += format(" (cycle %d)", state.cycle);
  text += format("  loss %.4f  lr %.1e  %.0f images/s  ", state.loss, state.lr, state.images_per_s);
  return text + duration_text(state.seconds_left) + " left";
}

// mpirun gives rank 0 a terminal of its own even where mpirun's output goes to a file.
Progress::Progress(bool enabled, std::FILE* out)
    : enabled_(enabled),
      terminal_(enabled && isatty(fileno(out)) == 1 && !std::getenv("OMPI_COMM_WORLD_SIZE")),
      out_(out) {}

Progress::~Progress() {
  finish();
}

void Progress::update(ProgressState state) {
  if (!enabled_) return;
  const auto now = Clock::now();
  const auto seconds_since = [&](Clock::time_point then) {
    return std::chrono::duration<double>(now - then).count();
  };
  const bool first = first_step_ < 0;
  if (first) {  // the first update pays for warming up, so that the pace is counted after it
    first_step_ = state.step;
    first_time_ = now;
  }
  const bool last = state.step >= state.total;
  if (!first && !last &&
      seconds_since(last_shown_) < (terminal_ ? kTerminalSeconds : kPlainSeconds))
    return;
  const auto done = static_cast<double>(state.step - first_step_);
  state.seconds_left =
      last       ? 0.0
      : done > 0 ? seconds_since(first_time_) / done * static_cast<double>(state.total - state.step)
                 : -1.0;
  last_shown_ = now;
  std::string text = progress_text(state);
  if (terminal_) {
    const size_t width = text.size();
    if (width < shown_width_) text.append(shown_width_ - width, ' ');
    shown_width_ = width;
    std::fprintf(out_, "\r%s", text.c_str());
  } else {
    std::fprintf(out_, "%s\n", text.c_str());
  }
  std::fflush(out_);
}

void Progress::note(const std::string& text) {
  if (!enabled_) return;
  finish();
  std::fprintf(out_, "%s\n", text.c_str());
  std::fflush(out_);
}

void Progress::finish() {
  if (shown_width_ > 0) std::fprintf(out_, "\n");
  shown_width_ = 0;
  if (enabled_) std::fflush(out_);
}

}  // namespace ab
