// bench_step: the speed of whole training steps (forward, loss, backward, norm, AdamW) on one rank,
// beside the matrix-product rate that the same threads reach in the same process.
//   share = operations of a step / seconds of a step / ceiling
// Operations are those of convolutions and matrix products, counted by the seams as they are asked
// for.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "distributed/launch.h"
#include "tools/bench/ceiling.h"
#include "tools/bench/timed_step.h"
#include "tools/bench/timing.h"
#include "tools/train/exit_codes.h"
#include "tools/train/memory_plan.h"
#include "tools/train/options.h"

namespace ab {
namespace {

struct Measured {
  double images_per_s = 0.0, gflops = 0.0, ceiling = 0.0;
  size_t peak_bytes = 0, planned_bytes = 0, resident_bytes = 0;
  int64_t allocations_after_first = 0;
  int threads = 0;
};

// The most memory that this process ever held, libraries and the ceiling's matrices included.
size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

Measured measure(const StepOptions& options) {
  const Config config = config_of(options);
  const auto device = device_of(options, config);
  Measured m;
  m.threads = options.threads > 0 ? options.threads : default_threads(1);
  m.ceiling = gemm_ceiling(*device, precision_of(config));
  device->reset_peak();
  TimedStep step(options, config, *device);
  const double median = step.median_seconds(options.seconds);
  m.images_per_s = static_cast<double>(options.batch) / median;
  m.gflops = step.flops_per_step / median * 1e-9;
  m.peak_bytes = device->memory().peak_bytes;
  m.resident_bytes = peak_resident_bytes();
  Resolved resolved;
  resolved.local_batch = resolved.global_batch = options.batch;
  m.planned_bytes = plan_memory(config, resolved, {}, {});
  m.allocations_after_first = step.allocations_after_first;
  // The machine's speed drifts: the ceiling is taken before and after, and the better one counts.
  m.ceiling = std::max(m.ceiling, gemm_ceiling(*device, precision_of(config)));
  return m;
}

void answer_turns(const StepOptions& options) {
  DemandedTurns turns;
  if (!turns.wants("step " + options.model + " batch " + std::to_string(options.batch) + " " +
                   options.precision))
    return;
  const Config config = config_of(options);
  const auto device = device_of(options, config);
  TimedStep step(options, config, *device);
  step.run();
  turns.answer([&](size_t) { return seconds_of([&] { step.run(); }); });
}

void print(const StepOptions& options, const Measured& m) {
  const double share = m.gflops / m.ceiling;
  if (options.json) {
    const Json json = {{"model", options.model},
                       {"batch", options.batch},
                       {"precision", options.precision},
                       {"device", options.device},
                       {"threads", m.threads},
                       {"images_per_s", m.images_per_s},
                       {"gflops", m.gflops},
                       {"ceiling_gflops", m.ceiling},
                       {"share", share},
                       {"peak_bytes", m.peak_bytes},
                       {"planned_bytes", m.planned_bytes},
                       {"resident_bytes", m.resident_bytes},
                       {"allocations_after_first_step", m.allocations_after_first}};
    std::printf("%s\n", json.dump().c_str());
    return;
  }
  std::printf("%s, batch %lld, %s, %s, %d threads\n", options.model.c_str(),
              static_cast<long long>(options.batch), options.precision.c_str(),
              options.device.c_str(), m.threads);
  std::printf("  images/s            %10.2f\n", m.images_per_s);
  std::printf("  operations          %10.1f GF/s\n", m.gflops);
  std::printf("  GEMM ceiling        %10.1f GF/s, share %.3f\n", m.ceiling, share);
  std::printf("  peak device memory  %10.1f MB, planned %.1f MB\n",
              static_cast<double>(m.peak_bytes) * 1e-6,
              static_cast<double>(m.planned_bytes) * 1e-6);
  std::printf("  peak resident       %10.1f MB\n", static_cast<double>(m.resident_bytes) * 1e-6);
  std::printf("  allocations after the first step %lld\n",
              static_cast<long long>(m.allocations_after_first));
}

int run(int argc, char** argv) {
  StepOptions options;
  CLI::App app{
      "Times whole training steps on one rank and prints their share of the GEMM ceiling that\n"
      "the same threads reach in the same process."};
  int image = 0, classes = 0;
  bool in_turns = false;
  add_step_options(app, options);
  app.add_flag("--in-turns", in_turns, "for checkperf: time on demand, as standard input asks")
      ->excludes("--json");
  app.add_option("--image", image, "side of the images (default: the paper's)");
  app.add_option("--classes", classes, "classes (default: the paper's)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  if (image > 0) options.settings.push_back("model.image=" + std::to_string(image));
  if (classes > 0) options.settings.push_back("model.classes=" + std::to_string(classes));
  if (in_turns)
    answer_turns(options);
  else
    print(options, measure(options));
  return kExitDone;
}

}  // namespace
}  // namespace ab

int main(int argc, char** argv) {
  return ab::guarded([&] { return ab::run(argc, argv); });
}
