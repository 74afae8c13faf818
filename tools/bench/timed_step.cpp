#include "tools/bench/timed_step.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "distributed/launch.h"
#include "tools/train/options.h"

namespace ab {
namespace {

Resolved resolved_of(int64_t batch) {
  Resolved resolved;
  resolved.local_batch = resolved.global_batch = batch;
  return resolved;
}

Normalisation identity() {
  Normalisation none;
  std::fill(none.inverse_std, none.inverse_std + 3, 1.0f);
  return none;
}

HostBatch random_batch(const Config& config, int64_t count) {
  HostBatch batch;
  batch.count = count;
  batch.height = batch.width = *config.model.image;
  batch.channels = *config.model.channels;
  batch.pixels.resize(static_cast<size_t>(count) * batch.height * batch.width * batch.channels);
  for (size_t i = 0; i < batch.pixels.size(); ++i)
    batch.pixels[i] = static_cast<uint8_t>(philox(1, 0, i).x);
  batch.crops.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    batch.labels.push_back(static_cast<int32_t>(i % *config.model.classes));
  return batch;
}

}  // namespace

void add_step_options(CLI::App& app, StepOptions& options) {
  app.add_option("--model", options.model, "vgg16, resnet18, resnet34, resnet50, vit, mini-vit");
  app.add_option("--batch", options.batch, "images of a step")->check(CLI::PositiveNumber);
  app.add_option("--precision", options.precision, "fp32 or bf16");
  app.add_option("--device", options.device, "host or cuda")
      ->check(CLI::IsMember({"host", "cuda"}));
  app.add_option("--set", options.settings,
                 "another size or setting, for example model.width=0.25 or ab.svd=full");
  app.add_option("--threads", options.threads, "OpenMP threads (default: the cores allowed)");
  app.add_option("--seconds", options.seconds, "how long to measure each kind of step");
  app.add_flag("--json", options.json, "one JSON object on stdout");
  app.set_version_flag("--version", version_text());
}

Config config_of(const StepOptions& options) {
  Json tree = {{"model", {{"name", options.model}}},
               {"data", {{"format", "synthetic"}, {"local_batch", options.batch}}},
               {"train", {{"steps", 1}, {"precision", options.precision}, {"init", "default"}}}};
  std::vector<Setting> settings;
  for (const std::string& text : options.settings) {
    const size_t equals = text.find('=');
    settings.push_back({text.substr(0, equals),
                        equals == std::string::npos ? "" : text.substr(equals + 1),
                        "--set " + text});
    apply_setting(tree, settings.back());
  }
  return complete_config(tree, "the command line", settings);
}

std::unique_ptr<Device> device_of(const StepOptions& options, const Config& config) {
  auto device = Device::create(options.device == "cuda" ? DeviceKind::kCuda : DeviceKind::kHost, 0,
                               options.threads > 0 ? options.threads : default_threads(1));
  device->tf32 = config.train.tf32;
  return device;
}

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

TimedStep::TimedStep(const StepOptions& options, const Config& config, Device& device)
    : replica(config, resolved_of(options.batch), device),
      batch_(device, options.batch, *config.model.image, identity()) {
  batch_.upload(random_batch(config, options.batch));
}

void TimedStep::run() {
  replica.begin_step(step_++, 1e-5);
  replica.forward_backward(batch_, nullptr);
  replica.update();
  replica.result();
}

double TimedStep::median_seconds(double seconds) {
  run();
  run();
  const int64_t allocations = replica.device.memory().allocations;
  replica.device.flops = 0.0;
  std::vector<double> times;
  double total = 0.0;
  while (total < seconds || times.size() < 3) {
    times.push_back(seconds_of([this] { run(); }));
    total += times.back();
  }
  timed_steps = static_cast<int64_t>(times.size());
  flops_per_step = replica.device.flops / static_cast<double>(timed_steps);
  allocations_after_first = replica.device.memory().allocations - allocations;
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

}  // namespace ab
