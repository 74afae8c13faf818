// Started by mpirun on four ranks, one mode a run (tests/distributed/CMakeLists.txt):
//   agree     every collective, split and reducer gives the bits that ranks as threads give
//   mismatch  ranks that start different collectives: the error names both sides; exit 5
//   timeout   a rank that does not come: the alarm names it all; exit 5
//   abort     one rank aborts, the others block: exit 5
//   throw     one rank leaves by an exception, the others block: its exit code 3 ends the job
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

#include "distributed/ledger_gather.h"
#include "engine/error.h"
#include "tests/distributed/cases.h"

namespace ab {
namespace {

bool report(bool good, int rank, const char* what) {
  if (!good) std::fprintf(stderr, "rank %d: FAILED: %s\n", rank, what);
  return good;
}

struct Result {
  std::vector<char> bytes;
  std::map<LedgerKey, LedgerEntry> ledger;
  RankBytes sent;
};

Result result_of(Communicator& world) {
  Result result;
  result.bytes = run_everything(world);
  result.ledger = gather_ledger(world, result.sent);
  return result;
}

int agree(Communicator& world) {
  const int rank = world.rank(), size = world.size();
  const Result mpi = result_of(world);
  std::vector<Result> local(size);
  // All ranks of this test are on one node.
  run_local_ranks(size, size, [&](Communicator& w) { local[w.rank()] = result_of(w); });
  bool good = report(size == 4, rank, "four ranks");
  good &= report(world.nodes() == std::vector<int>(size, 0), rank, "one node");
  good &= report(mpi.bytes == local[rank].bytes, rank, "values agree to the bit");
  good &= report(mpi.ledger == local[rank].ledger, rank, "ledgers agree");
  good &= report(mpi.sent.sent == local[rank].sent.sent, rank, "sent bytes per rank agree");
  good &= report(mpi.bytes.size() > 10000000, rank, "something was compared");
  return good ? 0 : 1;
}

// Exit code 5 when the error's text holds all parts.
int expect_error(Communicator& world, const std::function<void()>& body,
                 const std::vector<std::string>& parts) {
  try {
    body();
  } catch (const CommunicationError& e) {
    bool good = true;
    for (const std::string& part : parts)
      good &= report(std::string(e.what()).find(part) != std::string::npos, world.rank(),
                     (part + " in: " + e.what()).c_str());
    if (good) world.abort(5, e.what());
    return 1;
  }
  return report(false, world.rank(), "an error was expected") ? 0 : 1;
}

int mismatch(Communicator& world) {
  std::vector<float> x(1000);
  const int64_t elements = world.rank() == 2 ? 999 : 1000;
  const auto wrong = [&] {
    world.all_reduce(Purpose::kMetrics, x.data(), elements, DType::kFloat32);
  };
  // Ranks 2 and 3 hear something else from their left; the others wait until the job is ended.
  return expect_error(world, wrong,
                      {"does not match what rank", "communicator world: all_reduce of 999",
                       "communicator world: all_reduce of 1000"});
}

int timeout(Communicator& world) {
  world.ledger().set_phase(Phase::kMerge);
  if (world.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(30));
  float x = 0;
  return expect_error(
      world, [&] { world.all_reduce(Purpose::kHash, &x, 1, DType::kFloat32); },
      {"of 4 on host ", "communicator world: all_reduce of 1 fp32 for hash in phase merge",
       "did not finish within", "comm.timeout_s", "rank 1 on host ",
       "has been in no collective for", "ranks 0, 2, 3 are in communicator world: all_reduce"});
}

int abort_one(Communicator& world) {
  const auto group = world.split(0, "group");
  if (world.rank() == 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    world.abort(5, "asked to");
  }
  float x = 0;
  group->all_reduce(Purpose::kMetrics, &x, 1, DType::kFloat32);
  return 0;
}

int throw_one(Communicator& world) {
  std::vector<float> x(1000000);
  const auto pending =
      world.start_all_reduce(Purpose::kGradients, x.data(), 1000000, DType::kFloat32);
  if (world.rank() == 3) throw DataError("image 17 is broken");
  pending->wait();
  world.all_reduce(Purpose::kMetrics, x.data(), 1, DType::kFloat32);
  return 0;
}

int run(const std::string& mode) {
  CommunicatorOptions options;
  options.timeout_s = mode == "timeout" ? 1.0 : 40.0;
  const auto world = mpi_world(options);
  if (!world) return report(false, 0, "start this program with mpirun") ? 0 : 1;
  if (mode == "agree") return agree(*world);
  if (mode == "mismatch") return mismatch(*world);
  if (mode == "timeout") return timeout(*world);
  if (mode == "abort") return abort_one(*world);
  if (mode == "throw") return throw_one(*world);
  return report(false, world->rank(), "unknown mode") ? 0 : 1;
}

}  // namespace
}  // namespace ab

int main(int argc, char** argv) {
  try {
    return ab::run(argc > 1 ? argv[1] : "agree");
  } catch (const ab::DataError&) {
    return 3;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "FAILED: %s\n", e.what());
    return 1;
  }
}
