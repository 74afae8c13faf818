// Communicator over MPI: non-blocking point-to-point rings on a progress thread.
// Each collective is a RingPlan (ring_plan.h) that a RingJob carries out. MPI's calls are the
// progress thread's alone from start-up to MPI_Finalize (MPI_THREAD_SERIALIZED is enough). A
// message's tag is a hash of what the sender believes the collective to be: ranks that do not agree
// find out at the first message, and no byte is spent on it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <future>
#include <thread>
#include <utility>

#include "distributed/communicator_mpi_jobs.h"
#include "distributed/communicator_mpi_watch.h"
#include "distributed/launch.h"
#include "engine/error.h"

namespace ab {
namespace {

// The process's MPI: lives as long as the last communicator.
class MpiProcess {
 public:
  explicit MpiProcess(const CommunicatorOptions& options);
  ~MpiProcess();

  // The progress thread, which from here on makes all calls to MPI.
  void start(MPI_Comm world);
  void fail(const std::string& reason) { progress->fail(reason); }
  // What every rank is doing, asked of their progress threads.
  std::string survey();

  std::unique_ptr<RankWatch> watch;  // used by the progress thread
  std::unique_ptr<ProgressThread> progress;
  std::vector<MPI_Comm> communicators;  // freed at the end, in the same order on all ranks
  std::string host;
  std::vector<std::string> hosts;  // of every rank
  double timeout_s;

 private:
  int unwinding_ = std::uncaught_exceptions();
};

MpiProcess::MpiProcess(const CommunicatorOptions& options) : timeout_s(options.timeout_s) {
  int already = 0;
  MPI_Initialized(&already);
  if (already) throw CommunicationError("MPI can be started once in a process, by one mpi_world()");
  int provided = 0;
  AB_MPI(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided));
  if (provided < MPI_THREAD_SERIALIZED)
    throw CommunicationError("this MPI offers thread level " + std::to_string(provided) +
                             "; MPI_THREAD_SERIALIZED is needed: use an MPI built with threads");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  host = read_launch_environment().host;
}

void MpiProcess::start(MPI_Comm world) {
  watch = std::make_unique<RankWatch>(world);
  hosts = watch->hosts();
  progress = std::make_unique<ProgressThread>([this] { watch->serve(); });
}

std::string MpiProcess::survey() {
  const auto text = std::make_shared<std::promise<std::string>>();
  std::future<std::string> told = text->get_future();
  progress->run_urgently([this, text, asker = std::this_thread::get_id()] {
    std::string answer = "the other ranks could not be asked";
    try {
      // Not from the asking thread, where a progress thread that is stuck in MPI would leave it.
      if (std::this_thread::get_id() != asker) answer = watch->survey();
    } catch (const CommunicationError&) {
    }
    text->set_value(answer);
  });
  return told.get();
}

MpiProcess::~MpiProcess() {
  const bool broken = progress->failed() || std::uncaught_exceptions() > unwinding_;
  progress.reset();
  if (broken) return;
  for (MPI_Comm& communicator : communicators) MPI_Comm_free(&communicator);
  MPI_Finalize();
}

// 15 bits (every MPI's tags hold them) of FNV-1a.
int tag_of(const std::string& text) {
  uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return static_cast<int>((hash ^ (hash >> 15)) & 0x7fffu);
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%g s", seconds);
  return text;
}

// Waits for a job; a wait that lasts too long stops all communication of this process.
void wait_for(MpiProcess& process, ProgressJob& job, const std::string& where) {
  try {
    if (process.progress->wait(job, process.timeout_s)) return;
  } catch (const CommunicationError& error) {
    process.watch->rethrow(error.what());
    throw CommunicationError(std::string(error.what()) + ": " + process.survey());
  }
  const std::string reason = where + " did not finish within " + seconds_text(process.timeout_s) +
                             " (comm.timeout_s): " + process.survey();
  process.fail(reason);
  throw CommunicationError(reason);
}

class MpiPending : public Pending {
 public:
  MpiPending(std::shared_ptr<MpiProcess> process, std::shared_ptr<ProgressJob> job,
             std::string where)
      : process_(std::move(process)), job_(std::move(job)), where_(std::move(where)) {}
  // The caller's memory goes away: transfers must not go on.
  ~MpiPending() override {
    if (!waited_) process_->fail(where_ + " was given up before it had finished");
  }
  void wait() override {
    if (std::exchange(waited_, true)) return;
    wait_for(*process_, *job_, where_);
  }

 private:
  std::shared_ptr<MpiProcess> process_;
  std::shared_ptr<ProgressJob> job_;
  std::string where_;
  bool waited_ = false;
};

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator(std::shared_ptr<MpiProcess> process, MPI_Comm comm, std::string name, int rank,
                  std::vector<int> nodes, std::shared_ptr<Ledger> ledger)
      : Communicator(std::move(name), rank, std::move(nodes), std::move(ledger)),
        process_(std::move(process)),
        comm_(comm) {
    process_->communicators.push_back(comm);
  }

  bool say_farewell(int exit_code, const std::string& reason) override {
    const auto watch = process_->watch.get();
    process_->progress->run_urgently([=] { watch->say_farewell(exit_code, reason); });
    for (int i = 0; rank() > 0 && i < 300 && !watch->first_rank_is_done(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return rank() > 0 && watch->first_rank_says(reason);
  }

  void abort(int exit_code, const std::string& reason) override {
    process_->fail(reason);
    process_->progress->run_urgently([exit_code] { MPI_Abort(MPI_COMM_WORLD, exit_code); });
  }

 private:
  std::string who() const {
    return "rank " + std::to_string(process_->watch->rank()) + " of " +
           std::to_string(process_->watch->size()) + " on host " + process_->host + ", ";
  }
  std::string what(const std::string& text) const { return "communicator " + name() + ": " + text; }

  std::unique_ptr<Pending> run(const CollectiveCall& call) override {
    const std::string text = text_of(call);
    if (call.collective == Collective::kAllGather) {
      const size_t bytes = static_cast<size_t>(call.elements) * size_of(call.dtype);
      char* own = static_cast<char*>(call.values) + bytes * rank();
      const char* mine = static_cast<const char*>(call.mine);
      if (own != mine) std::copy(mine, mine + bytes, own);
    }
    const bool far = std::ranges::count(nodes(), nodes().front()) < size();
    auto job = std::make_shared<RingJob>(call, comm_, rank(), size(), far,
                                         tag_of(std::to_string(started_++) + text), who(),
                                         what(text), *process_->watch);
    try {
      process_->progress->post(job);
    } catch (const CommunicationError& error) {
      process_->watch->rethrow(error.what());
      throw;
    }
    return std::make_unique<MpiPending>(process_, std::move(job), who() + what(text));
  }

  std::unique_ptr<Communicator> run_split(int color, const std::string& name) override {
    auto job = std::make_shared<SplitJob>(comm_, color, rank(), name);
    process_->progress->post(job);
    wait_for(*process_, *job, who() + what("split into " + name));
    std::vector<int> members;
    for (const int member : job->members) members.push_back(nodes()[member]);
    return std::make_unique<MpiCommunicator>(process_, job->child, name, job->child_rank,
                                             std::move(members), shared_ledger());
  }

  std::shared_ptr<MpiProcess> process_;
  MPI_Comm comm_;
  int64_t started_ = 0;  // collectives so far: the same number on all ranks
};

}  // namespace

std::unique_ptr<Communicator> mpi_world(const CommunicatorOptions& options, int* cores,
                                        std::vector<std::string>* hosts) {
  const LaunchInfo launch = read_launch_environment();
  if (launch.launcher == "none") return nullptr;
  const auto check = [&](int found) {
    const std::string problem = launch_problem(launch, mpi_library(), found);
    if (!problem.empty()) throw ConfigError(problem);
  };
  check(0);
  auto process = std::make_shared<MpiProcess>(options);
  MPI_Comm world;
  int rank = 0, size = 1;
  AB_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &world));
  MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
  MPI_Comm_set_name(world, "world");
  MPI_Comm_rank(world, &rank);
  MPI_Comm_size(world, &size);
  check(size);
  NodeMap map = find_nodes(world, rank, size);
  process->start(world);
  if (cores) *cores = map.cores;
  if (hosts) *hosts = process->hosts;
  return std::make_unique<MpiCommunicator>(process, world, "world", rank, std::move(map.nodes),
                                           std::make_shared<Ledger>());
}

}  // namespace ab
