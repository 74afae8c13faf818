// What the progress thread does for an MPI communicator: one job per collective or split.
// RingJob carries a RingPlan out: a window of segments is under way in each direction, so the sum
// of one segment overlaps the transfer of the next. Every message carries the job's tag; a message
// with another tag or size means that the left neighbour started something else.
#pragma once
#define OMPI_SKIP_MPICXX
#define MPICH_SKIP_MPICXX
#include <mpi.h>

#include <memory>
#include <string>
#include <vector>

#include "distributed/communicator.h"
#include "distributed/progress.h"
#include "distributed/ring_plan.h"

namespace ab {

class RankWatch;

// Throws CommunicationError with MPI's words.
void check_mpi(int code, const char* call);
#define AB_MPI(call) check_mpi(call, #call)

// Node of every rank, numbered in the order of their first ranks: ranks that can share memory share
// a node. cores: this rank's share of its node's.
struct NodeMap {
  std::vector<int> nodes;
  int cores = 1;
};
NodeMap find_nodes(MPI_Comm world, int rank, int size);

class RingJob : public ProgressJob {
 public:
  // tag: what the ranks must agree on, in 15 bits. who, what: words for errors. watch: hears when
  // the collective begins and ends here. far: the ranks are on several nodes.
  RingJob(const CollectiveCall& call, MPI_Comm comm, int rank, int size, bool far, int tag,
          std::string who, std::string what, RankWatch& watch);
  bool advance() override;
  bool finished() const override;
  void give_up() override;

 private:
  bool move();
  // Segments under way. Between nodes enough for a link to stay busy while a thread waits for its
  // core (on shared cores some 4 ms a hop); in shared memory few, that they stay in the cache.
  static constexpr int64_t kFar = 32, kNear = 4;

  char* at(const RingSegment& s) const { return static_cast<char*>(call_.values) + s.offset; }
  char* slot(int64_t arrival) { return staging_.get() + arrival % window_ * stride_; }
  void expect(const RingSegment& s);
  bool take(const RingSegment& s);
  bool oldest_has_left();

  CollectiveCall call_;
  MPI_Comm comm_;
  int tag_, left_, right_;
  int64_t window_;
  std::string who_, what_;
  RankWatch& watch_;
  bool begun_ = false;
  RingPlan plan_;
  std::unique_ptr<char[]> staging_;  // a window of arrivals that wait to be summed
  int64_t stride_ = 0;
  int64_t expected_ = 0, taken_ = 0, posted_ = 0, sent_ = 0;  // segments, in plan order
  MPI_Request incoming_[kFar], outgoing_[kFar];
};

class SplitJob : public ProgressJob {
 public:
  SplitJob(MPI_Comm parent, int color, int rank, std::string name)
      : parent_(parent), color_(color), rank_(rank), name_(std::move(name)) {}
  bool advance() override;
  bool finished() const override { return child != MPI_COMM_NULL; }

  MPI_Comm child = MPI_COMM_NULL;
  int child_rank = 0;
  std::vector<int> members;  // ranks in the parent

 private:
  MPI_Comm parent_;
  int color_, rank_;
  std::string name_;
};

}  // namespace ab
