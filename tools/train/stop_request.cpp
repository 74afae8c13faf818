#include "tools/train/stop_request.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace ab {
namespace {

constexpr int kSignals[] = {SIGTERM, SIGINT, SIGUSR1};
std::atomic<int> caught{0};
static_assert(std::atomic<int>::is_always_lock_free);  // a handler may touch nothing else

void mark(int signal) {
  if (caught.exchange(1) == 0) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);  // delivered when this handler returns
}

void set_mask(int how) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kSignals) sigaddset(&set, signal);
  pthread_sigmask(how, &set, nullptr);
}

// A thread that only waits, so that there is always one to take the signals.
void start_listening() {
  std::thread([] {
    pthread_setname_np(pthread_self(), "signals");
    set_mask(SIG_UNBLOCK);
    for (;;) pause();
  }).detach();
}

// Three counts in one word: ranks whose process was signalled, ranks that see the end of the job,
// ranks that have written a checkpoint.
constexpr int64_t kTimeIsUp = int64_t{1} << 20, kWritten = int64_t{1} << 40;

double unix_seconds() {
  using namespace std::chrono;
  return duration<double>(system_clock::now().time_since_epoch()).count();
}

std::optional<double> job_end_time() {
  std::optional<double> result;
  const char* const text = std::getenv("SLURM_JOB_END_TIME");
  if (!text || !*text) return result;
  char* end = nullptr;
  const double seconds = std::strtod(text, &end);
  if (*end == '\0' && seconds > 0.0) result = seconds;
  return result;
}

}  // namespace

void catch_stop_signals() {
  static std::once_flag listening;
  std::call_once(listening, [] {
    struct sigaction action {};
    action.sa_handler = mark;
    action.sa_flags = SA_RESTART;
    for (const int signal : kSignals) sigaction(signal, &action, nullptr);
    start_listening();
  });
  set_mask(SIG_BLOCK);
}

void leave_stop_signals() {
  for (const int signal : kSignals) std::signal(signal, SIG_DFL);
}

StopRequest::StopRequest(const Config& config, Communicator& world, int64_t total_steps,
                         bool can_save)
    : world_(world),
      every_(config.checkpoint.ask_every),
      total_steps_(total_steps),
      margin_s_(config.checkpoint.margin_s),
      end_time_(can_save ? job_end_time() : std::nullopt) {}

// The next chance to stop comes every_ steps later, and then a checkpoint has to be written.
bool StopRequest::time_is_up(double step_s, double checkpoint_s) const {
  if (!end_time_) return false;
  const double needed = margin_s_ + 2.0 * checkpoint_s + static_cast<double>(every_) * step_s;
  return unix_seconds() + needed >= *end_time_;
}

bool StopRequest::agreed(int64_t completed, double step_s, const CheckpointWriter& checkpoints) {
  all_written_ = false;
  if (completed % every_ != 0 || completed >= total_steps_) return false;
  int64_t asked = (caught ? 1 : 0) + (time_is_up(step_s, checkpoints.longest_s()) ? kTimeIsUp : 0) +
                  (checkpoints.written() ? kWritten : 0);
  world_.all_reduce(Purpose::kStop, &asked, 1, DType::kInt64);
  all_written_ = asked / kWritten == world_.size();
  asked %= kWritten;
  if (asked == 0) return false;
  const int64_t signals = asked % kTimeIsUp;
  reason_ = signals > 0 ? "a signal reached " + std::to_string(signals) + " of " +
                              std::to_string(world_.size()) + " ranks"
                        : "the end of the Slurm job is near";
  return true;
}

}  // namespace ab
