// bench_kernels: times the benchmark rows of the operation case table.
// Buffers are rotated past the last cache, each call is timed alone, the median counts. The ceiling
// is a copy through the same launch and threads, measured in the same run; share = bytes per second
// over the ceiling's (bytes: every input read once, every output written once).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <regex>

#include "engine/error.h"
#include "kernels/cast.h"
#include "tools/bench/case_runner.h"
#include "tools/train/exit_codes.h"

namespace {

using namespace ab;

constexpr size_t kRotatedBytes = size_t{256} << 20;  // well past any last-level cache
constexpr int kRounds = 12, kLeastCalls = 20;

// Copies of a row's buffers, so that no call finds its data in a cache.
struct BufferSets {
  std::vector<std::vector<Buffer>> sets;
  std::vector<std::vector<DevicePtr>> pointers;

  BufferSets(Device& device, const std::vector<size_t>& bytes, const std::vector<DevicePtr>& from) {
    size_t total = 1;
    for (const size_t b : bytes) total += b;
    const size_t count = std::clamp<size_t>(kRotatedBytes / total + 1, 2, 64);
    for (size_t s = 0; s < count; ++s) {
      sets.emplace_back();
      pointers.emplace_back();
      for (size_t b = 0; b < bytes.size(); ++b) {
        sets[s].emplace_back(device, std::max<size_t>(bytes[b], 1));
        pointers[s].push_back(sets[s][b].data());
        if (from.empty())
          device.runtime().zero(device.stream(), pointers[s][b], bytes[b]);
        else
          device.runtime().copy(device.stream(), pointers[s][b], from[b], bytes[b]);
      }
    }
  }
};

template <class Call>
double seconds_of(Device& device, const BufferSets& sets, double quantile, Call call) {
  std::vector<double> seconds;
  for (int round = 0; round < kRounds || seconds.size() < kLeastCalls; ++round)
    for (const auto& pointers : sets.pointers) {
      const double taken = device.runtime().time(device.stream(), [&] { call(pointers); });
      if (round > 0) seconds.push_back(taken);  // the first round warms up
    }
  std::sort(seconds.begin(), seconds.end());
  return seconds[static_cast<size_t>(quantile * static_cast<double>(seconds.size()))];
}

// Bytes per second of reading and writing. The fast tenth counts, not the median: a ceiling that
// another program's load has lowered would flatter every kernel.
double copy_ceiling(Device& device) {
  constexpr int64_t kElements = 4 << 20;
  const BufferSets sets(device, {kElements * 4, kElements * 4}, {});
  const double seconds = seconds_of(device, sets, 0.1, [&](const std::vector<DevicePtr>& p) {
    cast(device.stream(), kElements, p[0], DType::kFloat32, p[1], DType::kFloat32);
  });
  return 8.0 * kElements / seconds;
}

nlohmann::json measure(Device& device, const std::string& device_name, const KernelCase& row,
                       double ceiling) {
  CaseRunner runner(device, row);
  runner.run();
  const bool agrees = runner.compare().agrees();
  runner.upload();
  std::vector<size_t> bytes;
  for (const CaseBuffer& b : row.buffers) bytes.push_back(b.elements * size_of(b.dtype));
  const BufferSets sets(device, bytes, runner.pointers());
  const double seconds = seconds_of(
      device, sets, 0.5, [&](const std::vector<DevicePtr>& p) { row.run(device.stream(), p); });
  return {{"kernel", row.kernel}, {"device", device_name},
          {"shape", row.shape},   {"dtype", name_of(row.dtype)},
          {"seconds", seconds},   {"bytes", row.bytes},
          {"flops", row.flops},   {"share", row.bytes / seconds / ceiling},
          {"agrees", agrees}};
}

void print_row(const nlohmann::json& r) {
  const double seconds = r["seconds"], bytes = r["bytes"], share = r["share"];
  std::printf("%-24s %-14s %-5s %10.1f %8.1f %6.0f%%  %s\n", r["kernel"].get<std::string>().c_str(),
              r["shape"].get<std::string>().c_str(), r["dtype"].get<std::string>().c_str(),
              seconds * 1e6, bytes / seconds * 1e-9, share * 100.0, r["agrees"] ? "yes" : "NO");
}

int run(const std::string& filter, const std::string& device_name, bool json) {
  const DeviceKind kind = device_name == "cuda" ? DeviceKind::kCuda : DeviceKind::kHost;
  const auto device = Device::create(kind);
  const std::regex pattern(filter);
  const double ceiling = copy_ceiling(*device);
  nlohmann::json rows = nlohmann::json::array();
  if (!json) {
    std::printf("%s, copy ceiling %.1f GB/s (read + write)\n", device->description().c_str(),
                ceiling * 1e-9);
    std::printf("%-24s %-14s %-5s %10s %8s %7s  %s\n", "kernel", "shape", "dtype", "us", "GB/s",
                "share", "agrees");
  }
  for (const KernelCase& row : kernel_cases()) {
    if (!row.benchmark || !std::regex_search(row.kernel, pattern)) continue;
    rows.push_back(measure(*device, device_name, row, ceiling));
    if (!json) print_row(rows.back());
  }
  if (rows.empty()) throw ConfigError("--filter " + filter + ": no kernel has such a name");
  if (json) std::printf("%s\n", rows.dump(2).c_str());
  return std::all_of(rows.begin(), rows.end(), [](const auto& r) { return bool(r["agrees"]); }) ? 0
                                                                                                : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return ab::guarded([&] {
    CLI::App app{"Times the handwritten kernels against the copy bandwidth of this machine."};
    std::string filter = ".", device = "host";
    bool json = false;
    app.add_option("--filter", filter, "regular expression over kernel names");
    app.add_option("--device", device, "host or cuda")->check(CLI::IsMember({"host", "cuda"}));
    app.add_flag("--json", json, "print one JSON list and nothing else");
    app.set_version_flag("--version", "bench_kernels " AB_VERSION);
    try {
      app.parse(argc, argv);
      return run(filter, device, json);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? 0 : 2;
    } catch (const std::regex_error& error) {
      throw ab::ConfigError("--filter " + filter + ": " + error.what());
    }
  });
}
