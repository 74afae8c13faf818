// What ranks that are threads of one process share. A LocalWorld ends everything at once; each
// communicator has one LocalHub, where its ranks post what they start and meet to carry it out.
// Order of a collective: all have posted -> each sums its own chunk over all posted arrays -> all
// have summed -> each copies the other chunks -> all have copied. Nobody leaves a collective while
// another rank still reads its array, an abort included.
#pragma once
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "distributed/communicator.h"
#include "engine/error.h"

namespace ab {

// Thrown by ranks that another rank's abort woke up.
struct AbortedElsewhere : CommunicationError {
  using CommunicationError::CommunicationError;
};

struct LocalWorld {
  std::mutex mutex;  // guards all that follows and every hub's rounds
  std::condition_variable change;
  bool aborted = false;
  std::string reason;
  int touching = 0;  // ranks that read or write posted arrays at this moment
  double timeout_s = 0;

  void abort_locked(const std::string& why);
  void abort(const std::string& why);
  // Throws AbortedElsewhere after an abort.
  void check();
};

class LocalHub {
 public:
  LocalHub(std::shared_ptr<LocalWorld> world, std::string name, std::vector<int> nodes);

  const std::string& name() const { return name_; }
  const std::vector<int>& nodes() const { return nodes_; }
  LocalWorld& world() { return *world_; }

  // Number `turn` counts a rank's collectives and splits on this communicator.
  void post(int rank, int64_t turn, const CollectiveCall& call);
  void carry_out(int rank, int64_t turn);
  // Returns the hub of this rank's color and its rank there.
  std::pair<std::shared_ptr<LocalHub>, int> split(int rank, int64_t turn, int color,
                                                  const std::string& name);
  // A rank gives its communicator up; ranks that wait for it learn so.
  void leave(int rank);

 private:
  struct Post {
    bool there = false;
    std::string text;  // must be the same on all ranks
    CollectiveCall call;
    int color = 0;
  };
  struct Round {
    std::vector<Post> posts;
    int posted = 0, summed = 0, copied = 0, gone = 0;
    std::map<int, std::shared_ptr<LocalHub>> children;
  };
  using Lock = std::unique_lock<std::mutex>;

  void post_locked(int rank, int64_t turn, Post post);
  // Blocks until `meeting` counts all ranks; throws after an abort or the time limit.
  void meet(Lock& lock, int rank, const Round& round, const int& meeting);
  [[noreturn]] void stop(Lock& lock, int rank, bool first);
  // Runs work on the posted arrays without the lock, safe from ranks that leave.
  template <class F>
  void touch(Lock& lock, int rank, F work);
  void sum_chunk(const Round& round, int rank) const;
  void copy_others(const Round& round, int rank) const;
  std::string who(int rank) const;

  std::shared_ptr<LocalWorld> world_;
  std::string name_;
  std::vector<int> nodes_;
  std::map<int64_t, Round> rounds_;
  std::vector<bool> left_;
};

}  // namespace ab
