#include "tools/train/rank_program.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "tools/train/exit_codes.h"

namespace ab {
namespace {

// Most errors meet all ranks at once (a wrong key, a missing file): rank 0 speaks first and ends
// the job; the others speak only if it did not. What a lost partner causes is the least telling.
void wait_for_a_better_message(int rank, const std::exception& error) {
  using namespace std::chrono_literals;
  const bool consequence = dynamic_cast<const CommunicationError*>(&error) != nullptr;
  std::this_thread::sleep_for((rank > 0 ? 700ms : 0ms) + (consequence ? 1500ms : 0ms));
}

int run_mpi(Communicator& world, const std::function<void(Communicator&, const RankPlace&)>& body) {
  try {
    const auto& nodes = world.nodes();
    body(world, {static_cast<int>(std::count(nodes.begin(), nodes.end(), nodes[0])), false});
    return kExitDone;
  } catch (const std::exception& error) {
    const int code = exit_code_of(error);
    if (world.size() > 1) wait_for_a_better_message(world.rank(), error);
    std::fprintf(stderr, "%s\n", error_line(error).c_str());
    if (world.size() > 1) world.abort(code, error.what());
    return code;
  }
}

}  // namespace

int run_on_ranks(int local_ranks, double timeout_s,
                 const std::function<void(Communicator&, const RankPlace&)>& body) {
  return guarded([&] {
    const std::unique_ptr<Communicator> world = mpi_world({timeout_s});
    if (world && local_ranks > 0 && world->size() > 1)
      throw ConfigError("--local-ranks " + std::to_string(local_ranks) + ": " +
                        std::to_string(world->size()) +
                        " ranks were launched already; leave the flag out");
    if (world && local_ranks == 0) return run_mpi(*world, body);
    const int ranks = std::max(1, local_ranks);
    run_local_ranks(ranks, ranks,
                    [&](Communicator& local) {
                      body(local, {ranks, true});
                    },
                    {timeout_s});
    return static_cast<int>(kExitDone);
  });
}

}  // namespace ab
