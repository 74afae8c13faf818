#include "tools/train/rank_program.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "distributed/launch.h"
#include "tools/train/exit_codes.h"
#include "tools/train/stop_request.h"

namespace ab {
namespace {

// Most errors meet all ranks at once (a wrong key, a missing file): rank 0 speaks first and ends
// the job; the others, one after the other, speak only if nobody on their node did. What a stuck
// partner causes is less telling, and a rank that is told of an error leaves the word to that one.
// Nobody knows better than who finds a rank gone, and a launcher leaves it a second.
std::chrono::milliseconds patience(int rank, const std::exception& error) {
  using namespace std::chrono_literals;
  const auto own = std::min(rank, 50) * 60ms;
  const auto turn = rank > 0 ? 700ms + own : 0ms;
  if (dynamic_cast<const RankLost*>(&error)) return own;
  if (dynamic_cast<const EndedElsewhere*>(&error)) return turn + 5000ms;
  if (dynamic_cast<const CommunicationError*>(&error)) return turn + 1500ms;
  return turn;
}

// Whether another rank of the node spoke meanwhile. Who speaks is gone soon after, on a busy
// machine long before the launcher ends the others: so they listen all the time.
bool hears_a_better_message(int rank, const std::exception& error) {
  const auto until = std::chrono::steady_clock::now() + patience(rank, error);
  bool heard = false;
  while (std::chrono::steady_clock::now() < until) {
    heard = heard || word_is_claimed();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return heard;
}

int code_of(const std::exception& error) {
  const auto* elsewhere = dynamic_cast<const EndedElsewhere*>(&error);
  return elsewhere ? elsewhere->exit_code : exit_code_of(error);
}

void tell(const std::exception& error) {
  if (!claim_the_word()) return;
  std::fprintf(stderr, "%s\n", error_line(error).c_str());
  std::fflush(stderr);
}

// A second trouble, as when the disk that is full should hold the summary, must not hide the first.
void report_failure(const std::function<void(int)>& on_failure, int code) {
  if (!on_failure) return;
  try {
    on_failure(code);
  } catch (const std::exception&) {
  }
}

int run_mpi(Communicator& world, int cores, const std::vector<std::string>& hosts,
            const std::function<int(Communicator&, const RankPlace&)>& body,
            const std::function<void(int)>& on_failure) {
  try {
    const auto& nodes = world.nodes();
    const auto mine = nodes.begin() + world.rank();
    return body(world,
                {static_cast<int>(std::count(nodes.begin(), nodes.end(), nodes[0])),
                 static_cast<int>(std::count(nodes.begin(), mine, *mine)), cores, false, hosts});
  } catch (const std::exception& error) {
    const int code = code_of(error);
    leave_stop_signals();
    report_failure(on_failure, code);
    const bool told = world.say_farewell(code, error.what());
    const bool heard = world.size() > 1 && hears_a_better_message(world.rank(), error);
    if (!told && !heard) tell(error);
    if (world.size() > 1) world.abort(code, error.what());
    return code;
  }
}

int run_threads(int ranks, double timeout_s,
                const std::function<int(Communicator&, const RankPlace&)>& body,
                const std::function<void(int)>& on_failure) {
  try {
    std::atomic<int> code = kExitDone;
    const std::vector<std::string> hosts(static_cast<size_t>(ranks),
                                         read_launch_environment().host);
    run_local_ranks(
        ranks, ranks,
        [&](Communicator& local) {
          code = body(local, {ranks, local.rank(), default_threads(ranks), true, hosts});
        },
        {timeout_s});
    return code;
  } catch (const std::exception& error) {
    report_failure(on_failure, exit_code_of(error));
    tell(error);
    return exit_code_of(error);
  }
}

}  // namespace

int run_on_ranks(int local_ranks, double timeout_s,
                 const std::function<int(Communicator&, const RankPlace&)>& body,
                 const std::function<void(int)>& on_failure) {
  return run_alone([&] {
    int cores = 1;
    std::vector<std::string> hosts;
    const std::unique_ptr<Communicator> world = mpi_world({timeout_s}, &cores, &hosts);
    if (!world || (local_ranks > 0 && world->size() == 1))
      return run_threads(std::max(1, local_ranks), timeout_s, body, on_failure);
    if (local_ranks == 0) return run_mpi(*world, cores, hosts, body, on_failure);
    const ConfigError both("--local-ranks " + std::to_string(local_ranks) + ": " +
                           std::to_string(world->size()) +
                           " ranks were launched already; leave the flag out");
    return run_mpi(*world, cores, hosts,
                   [&](Communicator&, const RankPlace&) -> int { throw both; }, {});
  });
}

int run_alone(const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    // All ranks do the same here, so rank 0's line says it all; but MPI's start may fail on one.
    const LaunchInfo launch = read_launch_environment();
    const bool heard = launch.world > 1 && hears_a_better_message(launch.rank, error);
    const bool speaks = launch.rank == 0 || dynamic_cast<const CommunicationError*>(&error);
    if (speaks && !heard) tell(error);
    return exit_code_of(error);
  }
}

}  // namespace ab
