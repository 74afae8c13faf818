// bench_step: the speed of whole training steps (forward, loss, backward, norm, AdamW) on one rank,
// beside the matrix-product rate that the same threads reach in the same process.
//   share = operations of a step / seconds of a step / ceiling
// Operations are those of convolutions and matrix products, counted by the seams as they are asked
// for.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "distributed/launch.h"
#include "tools/bench/ceiling.h"
#include "tools/train/exit_codes.h"
#include "tools/train/memory_plan.h"
#include "tools/train/options.h"
#include "tools/train/replica.h"

namespace ab {
namespace {

struct BenchOptions {
  std::string model = "vgg16", precision = "fp32", device = "host";
  int64_t batch = 32;
  int threads = 0;
  double seconds = 10.0;
  std::vector<std::string> settings;  // further model.key=value
  bool json = false;
};

struct Measured {
  double images_per_s = 0.0, gflops = 0.0, ceiling = 0.0;
  size_t peak_bytes = 0, planned_bytes = 0;
  int64_t allocations_after_first = 0;
  int threads = 0;
};

Config config_of(const BenchOptions& options) {
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
  return with_model_defaults(parse_config(tree, "bench_step", settings));
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

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Measured measure(const BenchOptions& options) {
  const Config config = config_of(options);
  Resolved resolved;
  resolved.local_batch = resolved.global_batch = options.batch;
  Measured m;
  m.threads = options.threads > 0 ? options.threads : default_threads(1);
  const auto device = Device::create(
      options.device == "cuda" ? DeviceKind::kCuda : DeviceKind::kHost, 0, m.threads);
  device->tf32 = config.train.tf32;
  m.ceiling = gemm_ceiling(*device, precision_of(config));
  device->reset_peak();
  Replica replica(config, resolved, *device);
  Normalisation identity;
  std::fill(identity.inverse_std, identity.inverse_std + 3, 1.0f);
  DeviceBatch batch(*device, options.batch, *config.model.image, identity);
  batch.upload(random_batch(config, options.batch));
  int64_t step = 0;
  const auto run_step = [&] {
    replica.forward_backward(batch, {step++, nullptr});
    const double norm = replica.gradient_norm();
    replica.update(1e-5, static_cast<float>(norm > 1.0 ? 1.0 / norm : 1.0));
  };
  run_step();
  run_step();
  const int64_t allocations = device->memory().allocations;
  device->flops = 0.0;
  std::vector<double> times;
  double total = 0.0;
  while (total < options.seconds || times.size() < 3) {
    times.push_back(seconds_of(run_step));
    total += times.back();
  }
  const double per_step = device->flops / static_cast<double>(times.size());
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  const double median = times[times.size() / 2];
  m.images_per_s = static_cast<double>(options.batch) / median;
  m.gflops = per_step / median * 1e-9;
  m.peak_bytes = device->memory().peak_bytes;
  m.planned_bytes = plan_memory(config, resolved, {}, {});
  m.allocations_after_first = device->memory().allocations - allocations;
  // The machine's speed drifts: the ceiling is taken before and after, and the better one counts.
  m.ceiling = std::max(m.ceiling, gemm_ceiling(*device, precision_of(config)));
  return m;
}

void print(const BenchOptions& options, const Measured& m) {
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
  std::printf("  allocations after the first step %lld\n",
              static_cast<long long>(m.allocations_after_first));
}

int run(int argc, char** argv) {
  BenchOptions options;
  CLI::App app{
      "Times whole training steps on one rank and prints their share of the GEMM ceiling that\n"
      "the same threads reach in the same process."};
  int image = 0, classes = 0;
  app.add_option("--model", options.model, "vgg16, resnet18, resnet34, resnet50, vit, mini-vit");
  app.add_option("--batch", options.batch, "images of a step")->check(CLI::PositiveNumber);
  app.add_option("--precision", options.precision, "fp32 or bf16");
  app.add_option("--device", options.device, "host or cuda")
      ->check(CLI::IsMember({"host", "cuda"}));
  app.add_option("--image", image, "side of the images (default: the paper's)");
  app.add_option("--classes", classes, "classes (default: the paper's)");
  app.add_option("--set", options.settings, "another size, for example model.width=0.25");
  app.add_option("--threads", options.threads, "OpenMP threads (default: the cores allowed)");
  app.add_option("--seconds", options.seconds, "how long to measure");
  app.add_flag("--json", options.json, "one JSON object on stdout");
  app.set_version_flag("--version", version_text());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  if (image > 0) options.settings.push_back("model.image=" + std::to_string(image));
  if (classes > 0) options.settings.push_back("model.classes=" + std::to_string(classes));
  print(options, measure(options));
  return kExitDone;
}

}  // namespace
}  // namespace ab

int main(int argc, char** argv) {
  return ab::guarded([&] { return ab::run(argc, argv); });
}
