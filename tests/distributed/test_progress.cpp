// The progress thread without MPI: order, errors, time limits, and that it ends whatever happens.
#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "distributed/progress.h"
#include "engine/error.h"
#include "tests/catch.h"

namespace ab {
namespace {

// Finishes after `steps` polls, writing its number; steps < 0: never.
class CountingJob : public ProgressJob {
 public:
  CountingJob(int number, int steps, std::vector<int>* log = nullptr)
      : number_(number), steps_(steps), log_(log) {}
  bool advance() override {
    ++polls;
    if (steps_ < 0) return false;
    if (number_ < 0) throw std::runtime_error("wire cut");
    if (--steps_ == 0 && log_) log_->push_back(number_);
    return true;
  }
  bool finished() const override { return steps_ == 0; }

  std::atomic<int64_t> polls{0};

 private:
  int number_, steps_;
  std::vector<int>* log_;
};

TEST_CASE("jobs run in the order of posting, whichever is waited for first") {
  std::vector<int> log;
  ProgressThread progress;
  std::vector<std::shared_ptr<CountingJob>> jobs;
  for (int i = 0; i < 5; ++i) {
    jobs.push_back(std::make_shared<CountingJob>(i, 5 - i, &log));
    progress.post(jobs.back());
  }
  CHECK(progress.wait(*jobs[4], 20.0));
  CHECK(log == std::vector<int>{0, 1, 2, 3, 4});
  CHECK(progress.wait(*jobs[0], 20.0));
  CHECK_FALSE(progress.failed());
}

TEST_CASE("an error ends its job and all that follow") {
  ProgressThread progress;
  const auto bad = std::make_shared<CountingJob>(-1, 3);
  const auto good = std::make_shared<CountingJob>(0, 3);
  progress.post(bad);
  CHECK_THROWS_WITH(progress.wait(*bad, 20.0), "wire cut");
  CHECK_THROWS_AS(progress.post(good), CommunicationError);
  CHECK(progress.failed());
}

TEST_CASE("a wait gives up in time; after fail() the job is left alone") {
  ProgressThread progress;
  const auto stuck = std::make_shared<CountingJob>(0, -1);
  const auto next = std::make_shared<CountingJob>(1, 1);
  progress.post(stuck);
  progress.post(next);
  CHECK_FALSE(progress.wait(*stuck, 0.05));
  progress.fail("first reason");
  progress.fail("second reason");
  const int64_t polls = stuck->polls;
  CHECK_THROWS_WITH(progress.wait(*stuck, 20.0), "first reason");
  CHECK_THROWS_WITH(progress.wait(*next, 20.0), "first reason");
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(stuck->polls == polls);
}

TEST_CASE("urgent work overtakes a stuck job, on the thread") {
  ProgressThread progress;
  progress.post(std::make_shared<CountingJob>(0, -1));
  std::atomic<bool> elsewhere{false};
  progress.run_urgently([&, caller = std::this_thread::get_id()] {
    elsewhere = std::this_thread::get_id() != caller;
  });
  CHECK(elsewhere);
}

TEST_CASE("the thread ends with an unfinished job, which gets an error") {
  const auto stuck = std::make_shared<CountingJob>(0, -1);
  {
    ProgressThread progress;
    progress.post(stuck);
  }
  const int64_t polls = stuck->polls;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(stuck->polls == polls);
}

}  // namespace
}  // namespace ab
