#include "distributed/communicator_mpi_watch.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "distributed/launch.h"
#include "engine/error.h"

namespace ab {
namespace {

constexpr std::chrono::milliseconds kLook{100}, kPatience{2000};
constexpr size_t kNamedRanks = 8;  // of those that do the same

template <size_t N>
void put(char (&to)[N], const std::string& text) {
  std::strncpy(to, text.c_str(), N - 1);
}

// Field 22 of /proc/<id>/stat; 0 where there is no such process.
int64_t start_of_process(int64_t id) {
  std::ifstream file("/proc/" + std::to_string(id) + "/stat");
  std::string text, field;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');  // a name may hold spaces
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(text.substr(name_end + 1));
  for (int number = 3; number <= 22; ++number) rest >> field;
  return std::atoll(field.c_str());
}

std::string silence_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

std::string ranks_text(const std::vector<int>& ranks) {
  std::string text = ranks.size() > 1 ? "ranks " : "rank ";
  for (size_t i = 0; i < std::min(ranks.size(), kNamedRanks); ++i)
    text += (i > 0 ? ", " : "") + std::to_string(ranks[i]);
  if (ranks.size() > kNamedRanks)
    text += " and " + std::to_string(ranks.size() - kNamedRanks) + " more";
  return text;
}

}  // namespace

RankWatch::RankWatch(MPI_Comm world) {
  AB_MPI(MPI_Comm_dup(world, &comm_));
  MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
  Process own;
  put(own.host, read_launch_environment().host);
  own.id = getpid();
  own.started = start_of_process(own.id);
  processes_.resize(static_cast<size_t>(size_));
  AB_MPI(MPI_Allgather(&own, sizeof own, MPI_BYTE, processes_.data(), sizeof own, MPI_BYTE, comm_));
  handles_.assign(static_cast<size_t>(size_), -1);
#ifdef SYS_pidfd_open
  for (int r = 0; r < size_; ++r) {
    const Process& p = processes_[static_cast<size_t>(r)];
    if (r == rank_ || p.started == 0 || std::string(p.host) != own.host) continue;
    const int handle = static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(p.id), 0));
    if (handle >= 0 && start_of_process(p.id) != p.started)
      close(handle);  // another name space
    else
      handles_[static_cast<size_t>(r)] = handle;
  }
#endif
}

// The communicator itself goes with MPI_Finalize.
RankWatch::~RankWatch() {
  for (const int handle : handles_)
    if (handle >= 0) close(handle);
}

std::vector<std::string> RankWatch::hosts() const {
  std::vector<std::string> hosts;
  for (const Process& process : processes_) hosts.emplace_back(process.host);
  return hosts;
}

void RankWatch::begin(const std::string& what) {
  doing_ = what;
  since_ = Clock::now();
}

void RankWatch::end() {
  last_ = std::move(doing_);
  doing_.clear();
  since_ = Clock::now();
}

RankWatch::Letter RankWatch::own_state() const {
  Letter letter;
  letter.busy = doing_.empty() ? 0 : 1;
  letter.seconds = std::chrono::duration<double>(Clock::now() - since_).count();
  put(letter.text, doing_.empty() ? last_ : doing_);
  return letter;
}

void RankWatch::send(int to, Tag tag, const Letter& letter) {
  sent_.push_back({letter, MPI_REQUEST_NULL});
  Sent& sent = sent_.back();
  AB_MPI(MPI_Isend(&sent.letter, sizeof sent.letter, MPI_BYTE, to, tag, comm_, &sent.request));
}

void RankWatch::read_letters() {
  for (;;) {
    int there = 0;
    MPI_Status status;
    AB_MPI(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &there, &status));
    if (!there) break;
    Letter letter;
    const int from = status.MPI_SOURCE;
    AB_MPI(MPI_Recv(&letter, sizeof letter, MPI_BYTE, from, status.MPI_TAG, comm_, &status));
    if (status.MPI_TAG == kAsk) {
      send(from, kAnswer, own_state());
    } else if (status.MPI_TAG == kAnswer) {
      if (!answers_.empty()) answers_[static_cast<size_t>(from)] = letter;
    } else {
      std::lock_guard lock(mutex_);
      if (from == 0) {
        first_rank_is_done_ = true;
        first_ranks_farewell_ = letter;
      }
      if (!heard_)
        heard_.emplace(name_of_rank(from) + " ended the run: " + letter.text, letter.exit_code);
    }
  }
  sent_.remove_if([](Sent& sent) {
    int done = 0;
    MPI_Test(&sent.request, &done, MPI_STATUS_IGNORE);
    return done != 0;
  });
}

void RankWatch::look_for_the_dead() {
  if (Clock::now() - looked_ < kLook) return;
  looked_ = Clock::now();
  for (int r = 0; r < size_; ++r) {
    pollfd entry{handles_[static_cast<size_t>(r)], POLLIN, 0};
    if (entry.fd < 0 || poll(&entry, 1, 0) != 1) continue;
    read_letters();  // its farewell may just have come
    std::lock_guard lock(mutex_);
    if (heard_ || lost_) return;
    if (r == 0) first_rank_is_done_ = true;
    const std::string at =
        doing_.empty() ? "was in no collective; the last was " + last_ : "was in " + doing_;
    lost_.emplace(name_of_rank(r) + " is gone without a word, killed or crashed; rank " +
                  std::to_string(rank_) + " " + at);
    throw *lost_;
  }
}

void RankWatch::serve() {
  read_letters();
  {
    std::lock_guard lock(mutex_);
    if (heard_) throw *heard_;
  }
  look_for_the_dead();
}

std::string RankWatch::name_of_rank(int rank) const {
  const Process& p = processes_[static_cast<size_t>(rank)];
  return "rank " + std::to_string(rank) + " on host " + p.host + " (process " +
         std::to_string(p.id) + ")";
}

std::string RankWatch::survey() {
  answers_.assign(static_cast<size_t>(size_), {});
  answers_[static_cast<size_t>(rank_)] = own_state();
  for (int r = 0; r < size_; ++r)
    if (r != rank_) send(r, kAsk, {});
  const auto until = Clock::now() + kPatience;
  const auto silent = [](const std::optional<Letter>& letter) { return !letter; };
  while (Clock::now() < until && std::any_of(answers_.begin(), answers_.end(), silent)) {
    read_letters();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::map<std::string, std::vector<int>> by_state;
  std::string text;
  for (int r = 0; r < size_; ++r) {
    const auto& answer = answers_[static_cast<size_t>(r)];
    if (!answer)
      text += name_of_rank(r) + " does not answer; ";
    else if (answer->busy)
      by_state[std::string("in ") + answer->text].push_back(r);
    else
      text += name_of_rank(r) + " has been in no collective for " + silence_text(answer->seconds) +
              (answer->text[0] ? std::string(", the last was ") + answer->text : "") + "; ";
  }
  for (const auto& [state, ranks] : by_state)
    text += ranks_text(ranks) + (ranks.size() > 1 ? " are " : " is ") + state + "; ";
  {
    std::lock_guard lock(mutex_);
    if (!answers_[0]) first_rank_is_done_ = true;  // it will not say farewell either
  }
  answers_.clear();
  return text.substr(0, text.size() - 2);
}

void RankWatch::say_farewell(int exit_code, const std::string& reason) {
  Letter letter;
  letter.exit_code = exit_code;
  put(letter.text, reason);
  for (int r = 0; r < size_; ++r)
    if (r != rank_) send(r, kFarewell, letter);
}

void RankWatch::rethrow(const std::string& reason) {
  std::lock_guard lock(mutex_);
  if (heard_ && reason == heard_->what()) throw *heard_;
  if (lost_ && reason == lost_->what()) throw *lost_;
}

bool RankWatch::first_rank_is_done() {
  std::lock_guard lock(mutex_);
  return first_rank_is_done_;
}

bool RankWatch::first_rank_says(const std::string& reason) {
  Letter letter;
  put(letter.text, reason);  // as long as a letter is
  std::lock_guard lock(mutex_);
  return std::strcmp(first_ranks_farewell_.text, letter.text) == 0;
}

}  // namespace ab
