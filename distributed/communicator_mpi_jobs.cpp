#include "distributed/communicator_mpi_jobs.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "distributed/communicator_mpi_watch.h"
#include "distributed/launch.h"
#include "engine/error.h"

namespace ab {
namespace {

constexpr int64_t kSegmentBytes = 256 * 1024;

int64_t count(const std::vector<RingSegment>& list) {
  return static_cast<int64_t>(list.size());
}

}  // namespace

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw CommunicationError(std::string(call) + ": " + text);
}

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string name(text);
  return name.substr(0, name.find_first_of(",\n"));
}

NodeMap find_nodes(MPI_Comm world, int rank, int size) {
  MPI_Comm node;
  AB_MPI(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node));
  int first = rank;
  AB_MPI(MPI_Bcast(&first, 1, MPI_INT, 0, node));
  int sharers = 1, place = 0;
  MPI_Comm_size(node, &sharers);
  MPI_Comm_rank(node, &place);
  std::vector<cpu_set_t> masks(sharers);
  cpu_set_t mask;
  CPU_ZERO(&mask);
  sched_getaffinity(0, sizeof mask, &mask);
  AB_MPI(MPI_Allgather(&mask, sizeof mask, MPI_BYTE, masks.data(), sizeof mask, MPI_BYTE, node));
  MPI_Comm_free(&node);
  std::vector<int> nodes(size), firsts;
  AB_MPI(MPI_Allgather(&first, 1, MPI_INT, nodes.data(), 1, MPI_INT, world));
  for (int& value : nodes) {
    const auto known = std::find(firsts.begin(), firsts.end(), value);
    const int index = static_cast<int>(known - firsts.begin());
    if (known == firsts.end()) firsts.push_back(value);
    value = index;
  }
  return {nodes, share_of_cores(masks, static_cast<size_t>(place))};
}

RingJob::RingJob(const CollectiveCall& call, MPI_Comm comm, int rank, int size, bool far, int tag,
                 std::string who, std::string what, RankWatch& watch)
    : call_(call),
      comm_(comm),
      tag_(tag),
      left_((rank + size - 1) % size),
      right_((rank + 1) % size),
      window_(far ? kFar : kNear),
      who_(std::move(who)),
      what_(std::move(what)),
      watch_(watch),
      plan_(plan_ring(call.collective, call.elements, call.dtype, rank, size, call.root,
                      kSegmentBytes)) {
  for (const RingSegment& s : plan_.arrivals)
    if (s.sum) stride_ = std::max(stride_, s.bytes);
}

bool RingJob::finished() const {
  return taken_ == count(plan_.arrivals) && sent_ == count(plan_.sends);
}

bool RingJob::advance() {
  if (!std::exchange(begun_, true)) {
    watch_.begin(what_);
    const int64_t slots = std::min(window_, count(plan_.arrivals));
    staging_ = std::make_unique_for_overwrite<char[]>(static_cast<size_t>(stride_ * slots));
  }
  const bool moved = move();
  if (finished()) {
    watch_.end();
    staging_.reset();
  }
  return moved;
}

bool RingJob::move() {
  bool moved = false;
  while (expected_ < count(plan_.arrivals) && expected_ - taken_ < window_ &&
         plan_.arrivals[expected_].needs <= sent_) {
    expect(plan_.arrivals[expected_]);
    moved = true;
  }
  while (taken_ < expected_ && take(plan_.arrivals[taken_])) moved = true;
  while (posted_ < count(plan_.sends) && posted_ - sent_ < window_ &&
         plan_.sends[posted_].needs <= taken_) {
    const RingSegment& s = plan_.sends[posted_];
    AB_MPI(MPI_Isend(at(s), static_cast<int>(s.bytes), MPI_BYTE, right_, tag_, comm_,
                     &outgoing_[posted_ % window_]));
    ++posted_;
    moved = true;
  }
  while (sent_ < posted_ && oldest_has_left()) moved = true;
  return moved;
}

// A receive that already has its partner cannot be cancelled, but ends by itself: its data is
// there.
void RingJob::give_up() {
  constexpr std::chrono::milliseconds kPatience{500};
  const auto begin = std::chrono::steady_clock::now();
  for (; taken_ < expected_; ++taken_) {
    MPI_Request& request = incoming_[taken_ % window_];
    if (request == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&request);
    int ended = 0;
    while (MPI_Test(&request, &ended, MPI_STATUS_IGNORE) == MPI_SUCCESS && !ended &&
           std::chrono::steady_clock::now() - begin < kPatience)
      std::this_thread::yield();
  }
}

bool RingJob::oldest_has_left() {
  int left = 0;
  AB_MPI(MPI_Test(&outgoing_[sent_ % window_], &left, MPI_STATUS_IGNORE));
  if (left) ++sent_;
  return left != 0;
}

void RingJob::expect(const RingSegment& s) {
  AB_MPI(MPI_Irecv(s.sum ? slot(expected_) : at(s), static_cast<int>(s.bytes), MPI_BYTE, left_,
                   MPI_ANY_TAG, comm_, &incoming_[expected_ % window_]));
  ++expected_;
}

// The oldest arrival: false when it is still under way.
bool RingJob::take(const RingSegment& s) {
  int arrived = 0, bytes = 0;
  MPI_Status status;
  const int code = MPI_Test(&incoming_[taken_ % window_], &arrived, &status);
  if (code == MPI_SUCCESS && !arrived) return false;
  if (code == MPI_SUCCESS) MPI_Get_count(&status, MPI_BYTE, &bytes);
  if (code != MPI_SUCCESS || status.MPI_TAG != tag_ || bytes != s.bytes)
    throw CommunicationError(who_ + what_ + " does not match what rank " + std::to_string(left_) +
                             " started; all ranks must start the same collectives in one order");
  if (s.sum)
    sum_into(call_.dtype, at(s), slot(taken_), s.bytes / static_cast<int>(size_of(call_.dtype)));
  ++taken_;
  return true;
}

bool SplitJob::advance() {
  AB_MPI(MPI_Comm_split(parent_, color_, rank_, &child));
  MPI_Comm_set_errhandler(child, MPI_ERRORS_RETURN);
  MPI_Comm_set_name(child, name_.c_str());
  MPI_Group parent_group, child_group;
  int size = 0;
  MPI_Comm_size(child, &size);
  MPI_Comm_rank(child, &child_rank);
  MPI_Comm_group(parent_, &parent_group);
  MPI_Comm_group(child, &child_group);
  std::vector<int> ranks(size);
  for (int i = 0; i < size; ++i) ranks[i] = i;
  members.resize(size);
  MPI_Group_translate_ranks(child_group, size, ranks.data(), parent_group, members.data());
  MPI_Group_free(&parent_group);
  MPI_Group_free(&child_group);
  return true;
}

}  // namespace ab
