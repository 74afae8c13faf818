// bench_kernels: times the benchmark rows of the operation case table, and the seams on shapes of
// the models. Buffers are rotated past the last cache, each call is timed alone, the median counts.
// Ceilings are measured in the same run: for kernels a copy through the same launch and threads,
// share = bytes per second over the ceiling's (bytes: every input read once, every output written
// once); for seams the fastest matrix product of their type, share = operations per second over it.
// With --in-turns it times on demand instead (DemandedTurns), without ceilings and checks.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "engine/error.h"
#include "kernels/cast.h"
#include "tools/bench/case_runner.h"
#include "tools/bench/ceiling.h"
#include "tools/bench/seam_runner.h"
#include "tools/bench/timing.h"
#include "tools/train/exit_codes.h"

namespace {

using namespace ab;

// What the rows of a run are compared with.
class Ceilings {
 public:
  explicit Ceilings(Device& device)
      : device_(device), copied_(device, {4 * kCopied, 4 * kCopied}, {}) {}

  static constexpr int64_t kCopied = 4 << 20;  // floats
  Timed copy() {
    return {copied_, [this](const std::vector<DevicePtr>& p) {
              cast(device_.stream(), kCopied, p[0], DType::kFloat32, p[1], DType::kFloat32);
            }};
  }
  double gemm(DType dtype) {
    double& known = gemm_[dtype];
    return known > 0.0 ? known : known = gemm_ceiling(device_, dtype) * 1e9;
  }

 private:
  Device& device_;
  BufferSets copied_;
  std::map<DType, double> gemm_;
};

// rate, ceiling: bytes or operations per second.
nlohmann::json result(const char* device, const auto& row, double seconds, double rate,
                      double ceiling, bool agrees) {
  return {{"kernel", row.kernel},        {"device", device},   {"shape", row.shape},
          {"dtype", name_of(row.dtype)}, {"seconds", seconds}, {"bytes", row.bytes},
          {"flops", row.flops},          {"rate", rate},       {"ceiling", ceiling},
          {"share", rate / ceiling},     {"agrees", agrees}};
}

nlohmann::json measure(Device& device, const char* device_name, const KernelCase& row,
                       Ceilings& ceilings) {
  CaseRunner runner(device, row);
  runner.run();
  const bool agrees = runner.compare().agrees();
  runner.upload();
  const BufferSets sets(device, runner.bytes(), runner.pointers());
  const TurnSeconds seconds = seconds_in_turns(
      device, {sets, [&](const std::vector<DevicePtr>& p) { runner.run(p); }}, ceilings.copy());
  return result(device_name, row, seconds.first, row.bytes / seconds.first,
                8.0 * Ceilings::kCopied / seconds.second, agrees);
}

nlohmann::json measure(Device& device, const char* device_name, const SeamCase& row,
                       Ceilings& ceilings) {
  SeamRunner runner(device, row);
  const bool agrees = runner.worst_error() <= 1.0;
  const BufferSets sets(device, runner.bytes(), runner.pointers());
  const double seconds =
      seconds_of(device, {sets, [&](const std::vector<DevicePtr>& p) { runner.run(p); }});
  return result(device_name, row, seconds, row.flops / seconds, ceilings.gemm(row.dtype), agrees);
}

void print_row(const nlohmann::json& r) {
  const double seconds = r["seconds"], rate = r["rate"], ceiling = r["ceiling"], share = r["share"];
  std::printf("%-39s %-26s %-5s %10.1f %8.1f %8.1f %6.0f%%  %s\n",
              r["kernel"].get<std::string>().c_str(), r["shape"].get<std::string>().c_str(),
              r["dtype"].get<std::string>().c_str(), seconds * 1e6, rate * 1e-9, ceiling * 1e-9,
              share * 100.0, r["agrees"] ? "yes" : "NO");
  std::fflush(stdout);
}

void print_head(const std::string& title, const char* rate) {
  std::printf("%s\n%-39s %-26s %-5s %10s %8s %8s %7s  %s\n", title.c_str(), "kernel", "shape",
              "dtype", "us", rate, "ceiling", "share", "agrees");
}

struct Bench {
  std::string filter = ".", device = "host";
  bool json = false, in_turns = false;
  std::string save;  // a file for the list, beside what is printed
};

// The rows of `cases` that the filter takes.
template <class Case>
std::vector<Case> filtered(const Bench& bench, std::vector<Case> cases) {
  const std::regex pattern(bench.filter);
  std::erase_if(cases, [&](const Case& row) { return !std::regex_search(row.kernel, pattern); });
  return cases;
}

// Measured, printed and added to `rows`.
template <class Case>
void run_rows(const Bench& bench, Device& device, Ceilings& ceilings,
              const std::vector<Case>& cases, nlohmann::json& rows) {
  constexpr bool kSeams = std::is_same_v<Case, SeamCase>;
  if (cases.empty()) return;
  if (!bench.json && kSeams)
    print_head(device.description() + ", ceiling: the fastest matrix product", "GF/s");
  else if (!bench.json)
    print_head(device.description() + ", ceiling: a copy, bytes read and written", "GB/s");
  for (const Case& row : cases) {
    rows.push_back(measure(device, bench.device.c_str(), row, ceilings));
    if (!bench.json) print_row(rows.back());
  }
}

template <class Case>
void answer_turns(Device& device, const std::vector<Case>& cases) {
  DemandedTurns turns;
  for (const Case& row : cases) {
    if (!turns.wants(row.kernel + " " + row.shape + " " + name_of(row.dtype))) continue;
    std::conditional_t<std::is_same_v<Case, SeamCase>, SeamRunner, CaseRunner> runner(device, row);
    const BufferSets sets(device, runner.bytes(), runner.pointers());
    turns.answer([&](size_t n) {
      const std::vector<DevicePtr>& pointers = sets.pointers[n % sets.pointers.size()];
      return device.runtime().time(device.stream(), [&] { runner.run(pointers); });
    });
  }
}

void save(const nlohmann::json& rows, const std::string& path) {
  std::ofstream file(path);
  file << rows.dump(2) << std::endl;
  if (!file) throw ConfigError("--save " + path + ": cannot be written");
}

int run(const Bench& bench) {
  const DeviceKind kind = bench.device == "cuda" ? DeviceKind::kCuda : DeviceKind::kHost;
  const auto device = Device::create(kind);
  std::vector<KernelCase> kernels = filtered(bench, kernel_cases());
  std::erase_if(kernels, [](const KernelCase& row) { return !row.benchmark; });
  const std::vector<SeamCase> seams = filtered(bench, seam_cases(images_for(kind)));
  if (kernels.empty() && seams.empty())
    throw ConfigError("--filter " + bench.filter + ": no kernel has such a name");
  if (bench.in_turns) {
    answer_turns(*device, kernels);
    answer_turns(*device, seams);
    return 0;
  }
  Ceilings ceilings(*device);
  nlohmann::json rows = nlohmann::json::array();
  run_rows(bench, *device, ceilings, kernels, rows);
  run_rows(bench, *device, ceilings, seams, rows);
  if (bench.json) std::printf("%s\n", rows.dump(2).c_str());
  if (!bench.save.empty()) save(rows, bench.save);
  return std::all_of(rows.begin(), rows.end(), [](const auto& r) { return bool(r["agrees"]); }) ? 0
                                                                                                : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return ab::guarded([&] {
    CLI::App app{
        "Times the handwritten kernels against the copy bandwidth of this machine, and the seams\n"
        "(gemm_, convolution_, decompose_) against its fastest matrix product; checks every row."};
    Bench bench;
    app.add_option("--filter", bench.filter, "regular expression over kernel names");
    app.add_option("--device", bench.device, "host or cuda")
        ->check(CLI::IsMember({"host", "cuda"}));
    app.add_flag("--json", bench.json, "print one JSON list and nothing else");
    app.add_option("--save", bench.save, "also write the JSON list to this file");
    app.add_flag("--in-turns", bench.in_turns,
                 "for checkperf: time on demand, row by row, as standard input asks")
        ->excludes("--json", "--save");
    app.set_version_flag("--version", "bench_kernels " AB_VERSION);
    try {
      app.parse(argc, argv);
      return run(bench);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? 0 : 2;
    } catch (const std::regex_error& error) {
      throw ab::ConfigError("--filter " + bench.filter + ": " + error.what());
    }
  });
}
