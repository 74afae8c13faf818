// RankWatch: what the MPI ranks know of one another besides the collectives, over a communicator of
// its own, so that a rank that is lost, stuck or goes its own way can be named.
//   survey    whoever has waited too long asks all ranks what they are doing. Progress threads
//             answer, whatever the rank itself is busy with; a stopped or dead process does not.
//   farewell  a rank that ends the run tells the others its exit code and reason first.
//   processes the ranks of a node hold handles of one another's processes (pidfd) and notice within
//             a tenth of a second when one is gone that said no farewell.
// Nothing is sent unless a run is ending. All calls but those marked belong to the progress thread.
#pragma once
#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "distributed/communicator_mpi_jobs.h"

namespace ab {

class RankWatch {
 public:
  // Exchanges hosts and processes; all ranks of `world` call it, before there is a progress thread.
  explicit RankWatch(MPI_Comm world);
  ~RankWatch();
  RankWatch(const RankWatch&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  std::vector<std::string> hosts() const;  // of every rank

  // The collective that the progress thread is at, for those who ask.
  void begin(const std::string& what);
  void end();

  // Answers what has arrived. Throws CommunicationError when a rank has said farewell or is gone.
  void serve();
  // Asks everybody and gives the others two seconds; the answer in words.
  std::string survey();
  void say_farewell(int exit_code, const std::string& reason);

  // Any thread. Throws the farewell or loss again whose text is `reason`, if that is what stopped
  // us.
  void rethrow(const std::string& reason);
  // Any thread. True when rank 0 has said farewell too, or is known to be gone.
  bool first_rank_is_done();
  // Any thread. Whether rank 0 said farewell with this reason.
  bool first_rank_says(const std::string& reason);

 private:
  using Clock = std::chrono::steady_clock;
  enum Tag : int { kAsk = 1, kAnswer, kFarewell };
  struct Letter {  // one size for all
    int32_t exit_code = 0, busy = 0;
    double seconds = 0.0;  // since the collective began, or since the last one ended
    char text[464] = {};
  };
  struct Process {
    char host[64] = {};
    int64_t id = 0, started = 0;  // started: tells apart processes that bore the same number
  };
  struct Sent {
    Letter letter;
    MPI_Request request;
  };

  void read_letters();
  void send(int to, Tag tag, const Letter& letter);
  void look_for_the_dead();
  Letter own_state() const;
  std::string name_of_rank(int rank) const;

  MPI_Comm comm_;
  int rank_ = 0, size_ = 1;
  std::vector<Process> processes_;
  std::vector<int> handles_;  // pidfd by rank; -1: on another node
  std::vector<std::optional<Letter>> answers_;
  std::list<Sent> sent_;
  std::string doing_, last_;
  Clock::time_point since_ = Clock::now(), looked_ = Clock::now();
  std::mutex mutex_;  // guards what follows
  std::optional<EndedElsewhere> heard_;
  std::optional<RankLost> lost_;
  bool first_rank_is_done_ = false;
  Letter first_ranks_farewell_;
};

}  // namespace ab
