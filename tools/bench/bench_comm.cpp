// bench_comm: bandwidth of the collectives a run makes, per communicator (world, group) and size.
//   algbw = bytes / seconds, bytes: the array of an all-reduce or broadcast, all blocks of an
//           all-gather
//   busbw = algbw x factor: 2(n-1)/n for all-reduce, (n-1)/n for all-gather, 1 for broadcast, which
//           is what each link carries and compares with its speed (nccl-tests, PERFORMANCE.md)
// Groups run at the same time, as in a group phase; the slowest rank's time counts.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "distributed/groups.h"
#include "tools/train/exit_codes.h"
#include "tools/train/options.h"
#include "tools/train/rank_program.h"

namespace ab {
namespace {

struct CommOptions {
  int local_ranks = 0, group_size = 0;
  int64_t least_kb = 4, most_kb = 32 * 1024;
  double seconds = 0.5;
  bool json = false;
};

struct Row {
  std::string communicator;
  int ranks;
  Collective collective;
  int64_t bytes;
  double seconds;

  double factor() const {
    if (collective == Collective::kBroadcast) return 1.0;
    return (collective == Collective::kAllReduce ? 2.0 : 1.0) * (ranks - 1) / ranks;
  }
  double algbw() const { return static_cast<double>(bytes) / seconds * 1e-9; }
  double busbw() const { return algbw() * factor(); }
};

double slowest(Communicator& world, double seconds) {
  std::vector<double> all(static_cast<size_t>(world.size()));
  world.all_gather(Purpose::kMetrics, &seconds, all.data(), 1, DType::kFloat64);
  return *std::max_element(all.begin(), all.end());
}

// Seconds of one call: after a warm-up that also tells how many calls fit, the same on all ranks.
double time_calls(Communicator& world, double limit, const std::function<void()>& call) {
  const auto timed = [&](int calls) {
    slowest(world, 0.0);  // all start together
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    return slowest(world, taken.count()) / calls;
  };
  call();
  return timed(std::clamp(static_cast<int>(limit / timed(1)), 2, 1000));
}

void measure(Communicator& world, Communicator& comm, const CommOptions& options,
             std::vector<Row>& rows) {
  const int n = comm.size();
  for (const Collective collective :
       {Collective::kAllReduce, Collective::kBroadcast, Collective::kAllGather})
    for (int64_t kb = options.least_kb; kb <= options.most_kb; kb *= 8) {
      const bool gather = collective == Collective::kAllGather;
      const int64_t elements = std::max<int64_t>(1, kb * 256 / (gather ? n : 1));
      const int64_t total = elements * (gather ? n : 1);
      std::vector<float> values(static_cast<size_t>(total)), mine(static_cast<size_t>(elements));
      const double seconds = time_calls(world, options.seconds, [&] {
        if (gather)
          comm.all_gather(Purpose::kGradients, mine.data(), values.data(), elements,
                          DType::kFloat32);
        else if (collective == Collective::kBroadcast)
          comm.broadcast(Purpose::kFactors, values.data(), elements, DType::kFloat32, 0);
        else
          comm.all_reduce(Purpose::kGradients, values.data(), elements, DType::kFloat32);
      });
      rows.push_back({comm.name(), n, collective, total * 4, seconds});
    }
}

void print(const std::vector<Row>& rows, const Communicator& world, int ranks_per_node,
           bool as_json) {
  Json list = Json::array();
  if (!as_json)
    std::printf("%-12s %5s  %-10s %12s %12s %12s %12s\n", "communicator", "ranks", "collective",
                "bytes", "ms", "algbw GB/s", "busbw GB/s");
  for (const Row& row : rows) {
    if (as_json)
      list.push_back({{"communicator", row.communicator},
                      {"ranks", row.ranks},
                      {"collective", name_of(row.collective)},
                      {"bytes", row.bytes},
                      {"seconds", row.seconds},
                      {"factor", row.factor()},
                      {"algbw_gb_s", row.algbw()},
                      {"busbw_gb_s", row.busbw()}});
    else
      std::printf("%-12s %5d  %-10s %12lld %12.3f %12.3f %12.3f\n", row.communicator.c_str(),
                  row.ranks, name_of(row.collective), static_cast<long long>(row.bytes),
                  1e3 * row.seconds, row.algbw(), row.busbw());
  }
  if (!as_json) return;
  const Json all = {{"version", version_number()},
                    {"world", world.size()},
                    {"ranks_per_node", ranks_per_node},
                    {"nodes", world.nodes()},
                    {"rows", list}};
  std::printf("%s\n", all.dump(1).c_str());
}

int measure_on_ranks(const CommOptions& options) {
  return run_on_ranks(options.local_ranks, 600.0, [&](Communicator& world, const RankPlace& place) {
    std::vector<Row> rows;
    if (world.size() < 2)
      throw ConfigError("bench_comm: found one rank, which exchanges nothing; start it with " +
                        std::string("mpirun -n 4, srun -n 4 --mpi=pmix, or --local-ranks 4"));
    measure(world, world, options, rows);
    int size = options.group_size;
    if (size > 0)
      count_groups(world.size(), size);
    else if (place.ranks_per_node > 1 && world.size() % place.ranks_per_node == 0)
      size = place.ranks_per_node;
    if (size > 1 && size < world.size()) {
      const auto group = world.split(group_of(world.rank(), size), "group");
      measure(world, *group, options, rows);
    }
    if (world.rank() == 0) print(rows, world, place.ranks_per_node, options.json);
    return static_cast<int>(kExitDone);
  });
}

int run(int argc, char** argv) {
  CommOptions options;
  CLI::App app("bench_comm: bus bandwidth of collectives, per communicator and size");
  app.set_version_flag("--version", version_text());
  app.add_option("--local-ranks", options.local_ranks, "ranks as threads of this process")
      ->check(CLI::Range(1, 4096))
      ->type_name("N");
  app.add_option("--group-size", options.group_size,
                 "ranks of a group; default: those of a node, if there are several nodes")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("G");
  app.add_option("--min-kb", options.least_kb,
                 "smallest array, KiB; then eight times as large, ...")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("KB");
  app.add_option("--max-kb", options.most_kb, "largest array, KiB")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("KB");
  app.add_option("--seconds", options.seconds, "time to spend on each row")
      ->check(CLI::Range(0.001, 60.0))
      ->type_name("S");
  app.add_flag("--json", options.json, "one JSON object on stdout, nothing else");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& end) {
    return app.exit(end);
  } catch (const CLI::ParseError& error) {
    return run_alone(
        [&]() -> int { throw ConfigError(error.what() + std::string("; see bench_comm --help")); });
  }
  return measure_on_ranks(options);
}

}  // namespace
}  // namespace ab

int main(int argc, char** argv) {
  return ab::guarded([&] { return ab::run(argc, argv); });
}
