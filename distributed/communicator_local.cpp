// Communicator over threads of one process: posts on a LocalHub, carried out in wait().
// Sends nothing and books what the MPI ring would send. A rank's collectives are carried out in the
// order it started them, whichever it waits for first, as MPI's progress thread does.
#include <deque>
#include <exception>
#include <thread>

#include "distributed/local_world.h"

namespace ab {
namespace {

struct LocalJob {
  std::shared_ptr<LocalHub> hub;
  int rank;
  int64_t turn;
  bool done = false;
};

// What a rank has started and not finished, over all its communicators; its own thread alone uses
// it.
struct LocalQueue {
  std::deque<std::shared_ptr<LocalJob>> jobs;

  void run_up_to(const LocalJob* last) {
    while (!jobs.empty() && !(last && last->done)) {
      LocalJob& job = *jobs.front();
      job.hub->carry_out(job.rank, job.turn);
      job.done = true;
      jobs.pop_front();
    }
  }
};

class LocalPending : public Pending {
 public:
  LocalPending(std::shared_ptr<LocalQueue> queue, std::shared_ptr<LocalJob> job)
      : queue_(std::move(queue)), job_(std::move(job)) {}
  // The caller's memory goes away: no other rank may go on reading it.
  ~LocalPending() override {
    if (!job_->done)
      job_->hub->world().abort("rank " + std::to_string(job_->rank) + " of communicator " +
                               job_->hub->name() + " gave up a collective it had started");
  }
  void wait() override { queue_->run_up_to(job_.get()); }

 private:
  std::shared_ptr<LocalQueue> queue_;
  std::shared_ptr<LocalJob> job_;
};

class LocalCommunicator : public Communicator {
 public:
  LocalCommunicator(std::shared_ptr<LocalHub> hub, std::shared_ptr<LocalQueue> queue, int rank,
                    std::shared_ptr<Ledger> ledger)
      : Communicator(hub->name(), rank, hub->nodes(), std::move(ledger)),
        hub_(std::move(hub)),
        queue_(std::move(queue)) {}
  ~LocalCommunicator() override { hub_->leave(rank()); }

  void abort(int, const std::string& reason) override { hub_->world().abort(reason); }
  void check_partners() override { hub_->world().check(); }

 private:
  std::unique_ptr<Pending> run(const CollectiveCall& call) override {
    auto job = std::make_shared<LocalJob>(LocalJob{hub_, rank(), turn_++});
    hub_->post(rank(), job->turn, call);
    queue_->jobs.push_back(job);
    return std::make_unique<LocalPending>(queue_, job);
  }

  std::unique_ptr<Communicator> run_split(int color, const std::string& name) override {
    queue_->run_up_to(nullptr);
    auto [hub, place] = hub_->split(rank(), turn_++, color, name);
    return std::make_unique<LocalCommunicator>(std::move(hub), queue_, place, shared_ledger());
  }

  std::shared_ptr<LocalHub> hub_;
  std::shared_ptr<LocalQueue> queue_;
  int64_t turn_ = 0;
};

// The first exception of all ranks; one that only reports another rank's abort gives way.
class FirstError {
 public:
  // Called inside a catch block.
  void keep(bool consequence) {
    std::lock_guard lock(mutex_);
    if (error_ && (consequence || !consequence_)) return;
    error_ = std::current_exception();
    consequence_ = consequence;
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  bool consequence_ = false;
};

}  // namespace

void run_local_ranks(int ranks, int ranks_per_node,
                     const std::function<void(Communicator& world)>& body,
                     const CommunicatorOptions& options) {
  if (ranks < 1 || ranks_per_node < 1)
    throw ConfigError("local ranks " + std::to_string(ranks) + ", ranks per node " +
                      std::to_string(ranks_per_node) + ": both must be 1 or more");
  auto world = std::make_shared<LocalWorld>();
  world->timeout_s = options.timeout_s;
  std::vector<int> nodes;
  for (int r = 0; r < ranks; ++r) nodes.push_back(r / ranks_per_node);
  auto hub = std::make_shared<LocalHub>(world, "world", nodes);
  FirstError first;
  const auto run_rank = [&](int rank) {
    LocalCommunicator communicator(hub, std::make_shared<LocalQueue>(), rank,
                                   std::make_shared<Ledger>());
    try {
      body(communicator);
    } catch (const AbortedElsewhere&) {
      first.keep(true);
    } catch (const std::exception& e) {
      first.keep(false);
      world->abort("rank " + std::to_string(rank) + " ended with: " + e.what());
    } catch (...) {
      first.keep(false);
      world->abort("rank " + std::to_string(rank) + " ended with an unknown exception");
    }
  };
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) threads.emplace_back(run_rank, r);
  for (std::thread& thread : threads) thread.join();
  first.rethrow();
}

}  // namespace ab
