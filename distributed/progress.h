// Progress thread: runs jobs one after the other in the order they were posted, polling each until
// it has finished. It keeps transfers going while the rank computes, and is the only thread that
// calls MPI. Polling backs off (yield, then sleeps of 50 us), because ranks may share cores; with
// no job it sleeps on a condition variable, waking up to serve other ranks' questions. Waits can
// give up: fail() then ends every job with that reason.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace ab {

class ProgressJob {
 public:
  virtual ~ProgressJob() = default;
  // Moves on without blocking; returns whether anything moved. Throwing ends the job and the
  // thread's willingness to run more: after an error the ranks no longer agree on what comes next.
  virtual bool advance() = 0;
  virtual bool finished() const = 0;
  // The job ends unfinished: afterwards nothing may write to the caller's memory any more.
  virtual void give_up() {}

 private:
  friend class ProgressThread;
  bool ended_ = false;  // guarded by the thread's mutex
  std::string error_;
};

class ProgressThread {
 public:
  // serve: called on the thread between polls, and some fifty times a second while there is no job;
  // what it throws ends all jobs.
  explicit ProgressThread(std::function<void()> serve = {});
  // Ends at once, jobs unfinished or not. A thread that is stuck inside a job is left behind.
  ~ProgressThread();
  ProgressThread(const ProgressThread&) = delete;

  // Throws CommunicationError when an earlier job failed.
  void post(std::shared_ptr<ProgressJob> job);
  // False when the job has not ended after timeout_s (0: wait for ever). Throws the job's error.
  bool wait(ProgressJob& job, double timeout_s);
  // The first reason counts. Jobs end with it, and no job touches memory after this returns.
  void fail(const std::string& reason);
  bool failed() const;
  // Runs f on the thread, ahead of all jobs; here when the thread does not answer within two
  // seconds.
  void run_urgently(std::function<void()> f);

 private:
  struct State;
  static void loop(const std::shared_ptr<State>& state);
  static bool poll(State& state, ProgressJob& job);
  static void wait_for_work(State& state, std::unique_lock<std::mutex>& lock);
  static void end_jobs(State& state, const std::string& reason);

  std::shared_ptr<State> state_;
};

}  // namespace ab
