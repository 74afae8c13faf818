// A training step of one rank on made-up images, as bench_step and bench_ab time it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tools/train/replica.h"

namespace CLI {
class App;
}

namespace ab {

// What the benchmarks of steps have in common on the command line.
struct StepOptions {
  std::string model = "vgg16", precision = "fp32", device = "host";
  int64_t batch = 32;
  int threads = 0;  // 0: the cores that one rank is allowed
  double seconds = 10.0;
  std::vector<std::string> settings;  // further model.key=value
  bool json = false;
};

void add_step_options(CLI::App& app, StepOptions& options);

// The paper's sizes with the options' settings laid over them.
Config config_of(const StepOptions& options);
std::unique_ptr<Device> device_of(const StepOptions& options, const Config& config);

double seconds_of(const std::function<void()>& body);

class TimedStep {
 public:
  TimedStep(const StepOptions& options, const Config& config, Device& device);

  void run();  // forward, loss, backward, gradient norm, AdamW
  // Median seconds of steps that take `seconds` together, three at least; two go before.
  double median_seconds(double seconds);

  Replica replica;
  int64_t timed_steps = 0;              // of the last median_seconds()
  double flops_per_step = 0.0;          // as the seams counted them
  int64_t allocations_after_first = 0;  // device allocations during the timed steps

 private:
  DeviceBatch batch_;
  int64_t step_ = 0;
};

}  // namespace ab
