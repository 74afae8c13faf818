// bench_ab: what AB-training itself costs on one rank, beside the full-rank step it replaces.
//   a step that trains A, one that trains B     each with the kept rank --keep x full rank
//   the border: decomposing all layers, multiplying A B back
// and the borders' share of a run under the paper's guideline schedule (method.md section 1): a
// warm-up of 20 % of the steps at full rank, then cycles of S = 3.33 % in groups and S / 4 at full
// rank, with one border each.
//   share = c border / (20 % steps t_full + c (border + S t_group + S/4 t_full)),  c cycles
// The border timed is the first one's, which keeps every rank; later ones multiply less.
// Layers are dealt out over the ranks of a group; --group-size says over how many.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "distributed/launch.h"
#include "tools/bench/timed_step.h"
#include "tools/train/exit_codes.h"
#include "tools/train/layer_ranks.h"
#include "tools/train/options.h"
#include "tools/train/phase_border.h"

namespace ab {
namespace {

struct AbOptions : StepOptions {
  double keep = 0.25;
  int group_size = 4;
  int64_t steps = 45000;  // 150 epochs of 300 updates
};

struct Measured {
  double full_s = 0.0, a_s = 0.0, b_s = 0.0;
  double decompose_s = 0.0, busiest_rank_s = 0.0, merge_s = 0.0;
  double compression = 0.0;
  std::map<std::string, int> drivers;  // layers of each
};

// Small random numbers everywhere: factors of a chosen rank need no meaning to be timed.
void randomise(ParameterStore& store, Device& device) {
  std::vector<float> values(static_cast<size_t>(store.values().elements()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 0.05f * (static_cast<float>(philox(7, 0, i).x) * 0x1p-31f - 1.0f);
  device.runtime().copy_to_device(device.stream(), store.values().data(), values.data(),
                                  values.size() * sizeof(float));
  store.refresh_compute(device.stream());
}

double group_step_seconds(TimedStep& step, const AbOptions& options, bool trains_a) {
  Replica& replica = step.replica;
  std::vector<int64_t> ranks;
  for (const FactoredWeight* weight : replica.factorable)
    ranks.push_back(std::max<int64_t>(
        1, std::llround(options.keep * static_cast<double>(std::min(weight->m(), weight->n())))));
  shape_as_factored(replica, ranks, trains_a);
  replica.arena.reset();
  randomise(replica.store, replica.device);
  return step.median_seconds(options.seconds);
}

// One rank decomposes every layer; a group's ranks share them, and the busiest one counts.
void measure_border(TimedStep& step, const AbOptions& options, const Config& config, Measured& m) {
  Replica& replica = step.replica;
  run_local_ranks(1, 1, [&](Communicator& world) {
    PhaseBorder border(config, replica, world, {&world, 0, 1, false});
    const std::vector<int> owners = deal_out_layers(replica.factorable, options.group_size);
    std::vector<double> load(static_cast<size_t>(options.group_size), 0.0);
    std::vector<RankRecord> records;
    m.decompose_s = seconds_of([&] { records = border.decompose(0); });
    double layers_s = 0.0;
    for (size_t i = 0; i < records.size(); ++i) {
      load[static_cast<size_t>(owners[i])] += records[i].report.ms * 1e-3;
      layers_s += records[i].report.ms * 1e-3;
      ++m.drivers[records[i].report.driver];
    }
    const double rest_s = std::max(0.0, m.decompose_s - layers_s);
    m.busiest_rank_s = rest_s + *std::max_element(load.begin(), load.end());
    m.merge_s = seconds_of([&] { border.merge(); });
  });
}

Measured measure(const AbOptions& options) {
  const Config config = config_of(options);
  const auto device = device_of(options, config);
  Measured m;
  TimedStep step(options, config, *device);
  m.full_s = step.median_seconds(options.seconds);
  measure_border(step, options, config, m);
  m.a_s = group_step_seconds(step, options, true);
  m.compression = static_cast<double>(step.replica.full_elements) /
                  static_cast<double>(step.replica.present_elements());
  m.b_s = group_step_seconds(step, options, false);
  return m;
}

double border_share(const AbOptions& options, const Measured& m) {
  const double border = m.busiest_rank_s + m.merge_s;
  const double steps = static_cast<double>(options.steps), s = 0.0333 * steps;
  const double cycles = 0.8 * steps / (1.25 * s);
  const double cycle = border + s * 0.5 * (m.a_s + m.b_s) + 0.25 * s * m.full_s;
  return cycles * border / (0.2 * steps * m.full_s + cycles * cycle);
}

void print(const AbOptions& options, const Measured& m) {
  if (options.json) {
    const Json json = {{"model", options.model},
                       {"batch", options.batch},
                       {"precision", options.precision},
                       {"keep", options.keep},
                       {"compression", m.compression},
                       {"full_step_s", m.full_s},
                       {"a_step_s", m.a_s},
                       {"b_step_s", m.b_s},
                       {"decompose_s", m.decompose_s},
                       {"decompose_busiest_rank_s", m.busiest_rank_s},
                       {"merge_s", m.merge_s},
                       {"drivers", m.drivers},
                       {"steps", options.steps},
                       {"border_share", border_share(options, m)}};
    std::printf("%s\n", json.dump().c_str());
    return;
  }
  std::printf("%s, batch %lld, %s, kept rank %.2f of full, compression %.2f : 1\n",
              options.model.c_str(), static_cast<long long>(options.batch),
              options.precision.c_str(), options.keep, m.compression);
  std::printf("  full-rank step          %10.4f s\n", m.full_s);
  std::printf("  group step, trains A    %10.4f s, %.2f of the full-rank step\n", m.a_s,
              m.a_s / m.full_s);
  std::printf("  group step, trains B    %10.4f s, %.2f of the full-rank step\n", m.b_s,
              m.b_s / m.full_s);
  std::printf("  decompose, one rank     %10.4f s (", m.decompose_s);
  const char* comma = "";
  for (const auto& [driver, layers] : m.drivers) {
    std::printf("%s%d layers by %s", comma, layers, driver.c_str());
    comma = ", ";
  }
  std::printf(")\n  decompose, group of %-2d  %10.4f s\n", options.group_size, m.busiest_rank_s);
  std::printf("  merge                   %10.4f s\n", m.merge_s);
  std::printf("  borders' share of %lld steps under the guideline schedule %.3f %%\n",
              static_cast<long long>(options.steps), 100.0 * border_share(options, m));
}

int run(int argc, char** argv) {
  AbOptions options;
  options.seconds = 3.0;
  CLI::App app{
      "Times AB-training's own work on one rank: group steps beside the full-rank step,\n"
      "decomposing and merging all layers, and the borders' share of a run."};
  add_step_options(app, options);
  app.add_option("--keep", options.keep, "kept rank as a share of full rank")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--group-size", options.group_size, "ranks that share the layers of a border")
      ->check(CLI::PositiveNumber);
  app.add_option("--steps", options.steps, "steps of the run whose share is told")
      ->check(CLI::PositiveNumber);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  print(options, measure(options));
  return kExitDone;
}

}  // namespace
}  // namespace ab

int main(int argc, char** argv) {
  return ab::guarded([&] { return ab::run(argc, argv); });
}
