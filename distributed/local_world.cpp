#include "distributed/local_world.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "distributed/ring_plan.h"
#include "distributed/traffic.h"

namespace ab {

void LocalWorld::abort_locked(const std::string& why) {
  if (!aborted) reason = why;
  aborted = true;
  change.notify_all();
}

void LocalWorld::abort(const std::string& why) {
  std::unique_lock lock(mutex);
  abort_locked(why);
  change.wait(lock, [this] { return touching == 0; });
}

void LocalWorld::check() {
  std::lock_guard lock(mutex);
  if (aborted) throw AbortedElsewhere("this rank stopped, because " + reason);
}

LocalHub::LocalHub(std::shared_ptr<LocalWorld> world, std::string name, std::vector<int> nodes)
    : world_(std::move(world)),
      name_(std::move(name)),
      nodes_(std::move(nodes)),
      left_(nodes_.size(), false) {}

std::string LocalHub::who(int rank) const {
  return "rank " + std::to_string(rank) + " of " + std::to_string(nodes_.size()) +
         ", communicator " + name_ + ": ";
}

void LocalHub::stop(Lock& lock, int rank, bool first) {
  world_->change.wait(lock, [this] { return world_->touching == 0; });
  if (first) throw CommunicationError(world_->reason);
  throw AbortedElsewhere(who(rank) + "stopped, because " + world_->reason);
}

void LocalHub::meet(Lock& lock, int rank, const Round& round, const int& meeting) {
  const int all = static_cast<int>(nodes_.size());
  const auto ready = [&] { return meeting == all || world_->aborted; };
  const std::chrono::duration<double> limit(world_->timeout_s);
  bool in_time = true;
  if (world_->timeout_s <= 0)
    world_->change.wait(lock, ready);
  else
    in_time = world_->change.wait_for(lock, limit, ready);
  if (world_->aborted) stop(lock, rank, false);
  if (in_time) return;
  std::string missing;
  for (int r = 0; r < all; ++r)
    if (!round.posts[r].there) missing += (missing.empty() ? "" : ", ") + std::to_string(r);
  world_->abort_locked(who(rank) + round.posts[rank].text + " did not finish within " +
                       std::to_string(world_->timeout_s) + " s (comm.timeout_s)" +
                       (missing.empty() ? "" : "; ranks that did not start it: " + missing));
  stop(lock, rank, true);
}

template <class F>
void LocalHub::touch(Lock& lock, int rank, F work) {
  if (world_->aborted) stop(lock, rank, false);
  ++world_->touching;
  lock.unlock();
  work();
  lock.lock();
  --world_->touching;
  world_->change.notify_all();
}

void LocalHub::post_locked(int rank, int64_t turn, Post post) {
  Lock lock(world_->mutex);
  if (world_->aborted) stop(lock, rank, false);
  Round& round = rounds_[turn];
  round.posts.resize(nodes_.size());
  round.posts[rank] = std::move(post);
  round.posts[rank].there = true;
  ++round.posted;
  for (size_t other = 0; other < nodes_.size(); ++other) {
    const Post& theirs = round.posts[other];
    std::string why;
    if (theirs.there && theirs.text != round.posts[rank].text)
      why = "rank " + std::to_string(other) + " started " + theirs.text;
    if (!theirs.there && left_[other])
      why = "rank " + std::to_string(other) + " has left the communicator";
    if (why.empty()) continue;
    world_->abort_locked(who(rank) + round.posts[rank].text + " cannot run: " + why +
                         "; all ranks must start the same collectives in one order");
    stop(lock, rank, true);
  }
  world_->change.notify_all();
}

void LocalHub::post(int rank, int64_t turn, const CollectiveCall& call) {
  post_locked(rank, turn, {true, text_of(call), call, 0});
}

// Chunk `rank`, summed in the ring's order: x[rank+1] + x[rank+2] + ... + x[rank].
void LocalHub::sum_chunk(const Round& round, int rank) const {
  const int n = static_cast<int>(nodes_.size());
  const CollectiveCall& call = round.posts[rank].call;
  const int64_t width = static_cast<int64_t>(size_of(call.dtype));
  const int64_t end = chunk_begin(call.elements, n, rank + 1);
  constexpr int64_t kBlock = 2048;  // stays in the first cache
  alignas(64) char partial[kBlock * sizeof(double)];
  const auto at = [&](int r, int64_t element) {
    return static_cast<char*>(round.posts[r].call.values) + element * width;
  };
  for (int64_t i = chunk_begin(call.elements, n, rank); i < end; i += kBlock) {
    const int64_t count = std::min(kBlock, end - i);
    std::memcpy(partial, at((rank + 1) % n, i), count * width);
    for (int k = 2; k < n; ++k) sum_into(call.dtype, partial, at((rank + k) % n, i), count);
    sum_into(call.dtype, at(rank, i), partial, count);
  }
}

void LocalHub::copy_others(const Round& round, int rank) const {
  const int n = static_cast<int>(nodes_.size());
  const CollectiveCall& own = round.posts[rank].call;
  const int64_t width = static_cast<int64_t>(size_of(own.dtype));
  char* to = static_cast<char*>(own.values);
  for (int r = 0; r < n; ++r) {
    const CollectiveCall& theirs = round.posts[r].call;
    const char* values = static_cast<const char*>(theirs.values);
    int64_t begin = 0, end = own.elements;
    if (own.collective == Collective::kAllReduce) {
      begin = chunk_begin(own.elements, n, r);
      end = chunk_begin(own.elements, n, r + 1);
    }
    if (begin == end) continue;
    if (own.collective == Collective::kAllGather)
      std::memmove(to + r * end * width, theirs.mine, end * width);
    else if (r != rank && (own.collective == Collective::kAllReduce || r == own.root))
      std::memcpy(to + begin * width, values + begin * width, (end - begin) * width);
  }
}

void LocalHub::carry_out(int rank, int64_t turn) {
  Lock lock(world_->mutex);
  Round& round = rounds_.at(turn);  // stays where it is while the map grows
  meet(lock, rank, round, round.posted);
  if (round.posts[rank].call.collective == Collective::kAllReduce) {
    touch(lock, rank, [&] { sum_chunk(round, rank); });
    ++round.summed;
    meet(lock, rank, round, round.summed);
  }
  touch(lock, rank, [&] { copy_others(round, rank); });
  ++round.copied;
  meet(lock, rank, round, round.copied);
  if (++round.gone == static_cast<int>(nodes_.size())) rounds_.erase(turn);
}

std::pair<std::shared_ptr<LocalHub>, int> LocalHub::split(int rank, int64_t turn, int color,
                                                          const std::string& name) {
  post_locked(rank, turn, {true, "split", {}, color});
  Lock lock(world_->mutex);
  Round& round = rounds_.at(turn);
  meet(lock, rank, round, round.posted);
  std::vector<int> nodes;
  int place = 0;
  for (size_t r = 0; r < nodes_.size(); ++r) {
    if (round.posts[r].color != color) continue;
    if (static_cast<int>(r) == rank) place = static_cast<int>(nodes.size());
    nodes.push_back(nodes_[r]);
  }
  std::shared_ptr<LocalHub>& child = round.children[color];
  if (!child) child = std::make_shared<LocalHub>(world_, name, std::move(nodes));
  const std::shared_ptr<LocalHub> mine = child;
  if (++round.gone == static_cast<int>(nodes_.size())) rounds_.erase(turn);
  return {mine, place};
}

void LocalHub::leave(int rank) {
  Lock lock(world_->mutex);
  left_[rank] = true;
  for (const auto& [turn, round] : rounds_) {
    if (round.posts[rank].there) continue;
    for (const Post& post : round.posts)
      if (post.there && !world_->aborted)
        world_->abort_locked(who(rank) + "left while other ranks wait for it in " + post.text);
  }
}

}  // namespace ab
