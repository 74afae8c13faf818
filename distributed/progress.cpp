#include "distributed/progress.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/error.h"

namespace ab {
namespace {

constexpr int kYields = 20;  // polls in vain before the thread sleeps
constexpr std::chrono::microseconds kNap{50};
constexpr std::chrono::milliseconds kIdle{20};
constexpr std::chrono::seconds kGrace{2};  // for a thread that has been told to stop

}  // namespace

struct ProgressThread::State {
  std::mutex mutex;
  std::condition_variable work, change;
  std::deque<std::shared_ptr<ProgressJob>> jobs;
  std::string failure;                 // guarded by mutex; first reason
  std::function<void()> urgent;        // guarded by mutex
  std::function<void()> serve;         // the thread's own
  bool ended = false;                  // guarded by mutex
  std::atomic<bool> attention{false};  // failure, urgent or stop: leave the job under way
  std::atomic<bool> stop{false};
  std::thread thread;
};

ProgressThread::ProgressThread(std::function<void()> serve) : state_(std::make_shared<State>()) {
  state_->serve = std::move(serve);
  state_->thread = std::thread([state = state_] { loop(state); });
}

ProgressThread::~ProgressThread() {
  std::unique_lock lock(state_->mutex);
  state_->stop = true;
  state_->attention = true;
  state_->work.notify_all();
  const bool ended = state_->change.wait_for(lock, kGrace, [&] { return state_->ended; });
  lock.unlock();
  if (ended)
    state_->thread.join();
  else
    state_->thread.detach();
}

void ProgressThread::post(std::shared_ptr<ProgressJob> job) {
  std::lock_guard lock(state_->mutex);
  if (!state_->failure.empty()) throw CommunicationError(state_->failure);
  state_->jobs.push_back(std::move(job));
  state_->work.notify_one();
}

bool ProgressThread::wait(ProgressJob& job, double timeout_s) {
  std::unique_lock lock(state_->mutex);
  const auto ended = [&] { return job.ended_; };
  const std::chrono::duration<double> limit(timeout_s);
  if (timeout_s <= 0)
    state_->change.wait(lock, ended);
  else if (!state_->change.wait_for(lock, limit, ended))
    return false;
  if (!job.error_.empty()) throw CommunicationError(job.error_);
  return true;
}

void ProgressThread::fail(const std::string& reason) {
  std::unique_lock lock(state_->mutex);
  if (state_->failure.empty()) state_->failure = reason;
  state_->attention = true;
  state_->work.notify_all();
  // Every job ends; one that blocks inside advance() (a split) holds none of the caller's memory.
  state_->change.wait_for(lock, kGrace, [&] { return state_->jobs.empty() || state_->ended; });
}

bool ProgressThread::failed() const {
  std::lock_guard lock(state_->mutex);
  return !state_->failure.empty();
}

void ProgressThread::run_urgently(std::function<void()> f) {
  std::unique_lock lock(state_->mutex);
  state_->urgent = std::move(f);
  state_->attention = true;
  state_->work.notify_all();
  if (state_->change.wait_for(lock, kGrace, [&] { return !state_->urgent; })) return;
  const std::function<void()> here = std::move(state_->urgent);
  state_->urgent = nullptr;
  lock.unlock();
  here();
}

// One job, until it has finished or something more important came up; false then.
bool ProgressThread::poll(State& state, ProgressJob& job) {
  int idle = 0;
  while (!job.finished()) {
    if (state.attention) return false;
    if (job.advance()) {
      idle = 0;
      continue;
    }
    if (state.serve) state.serve();
    if (++idle < kYields)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(kNap);
  }
  return true;
}

// Until there is a job or something more important; serves meanwhile.
void ProgressThread::wait_for_work(State& state, std::unique_lock<std::mutex>& lock) {
  const auto there = [&] { return state.attention || !state.jobs.empty(); };
  if (!state.serve) return state.work.wait(lock, there);
  while (!state.work.wait_for(lock, kIdle, there)) {
    std::string error;
    lock.unlock();
    try {
      state.serve();
    } catch (const std::exception& e) {
      error = e.what();
    }
    lock.lock();
    if (!error.empty() && state.failure.empty()) state.failure = error;
  }
}

// Ends all jobs with `reason`; the mutex is held.
void ProgressThread::end_jobs(State& state, const std::string& reason) {
  for (const auto& job : state.jobs) {
    job->give_up();
    job->error_ = reason;
    job->ended_ = true;
  }
  state.jobs.clear();
  state.change.notify_all();
}

void ProgressThread::loop(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (!state->stop) {
    state->attention = false;
    if (state->urgent) {
      const std::function<void()> f = std::move(state->urgent);
      state->urgent = nullptr;
      lock.unlock();
      f();
      lock.lock();
      state->change.notify_all();
      continue;
    }
    if (!state->failure.empty()) end_jobs(*state, state->failure);
    wait_for_work(*state, lock);
    if (state->attention || !state->failure.empty()) continue;
    const std::shared_ptr<ProgressJob> job = state->jobs.front();
    lock.unlock();
    bool done = false;
    std::string error;
    try {
      done = poll(*state, *job);
    } catch (const std::exception& e) {
      error = e.what();
    }
    lock.lock();
    if (!error.empty() && state->failure.empty()) state->failure = error;
    if (done) {
      job->ended_ = true;
      state->jobs.pop_front();
      state->change.notify_all();
    }
  }
  end_jobs(*state, "the communicator was closed before this collective had finished");
  state->ended = true;
  state->change.notify_all();
}

}  // namespace ab
