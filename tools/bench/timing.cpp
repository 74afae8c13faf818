#include "tools/bench/timing.h"

#include <algorithm>
#include <cstdio>

namespace ab {
namespace {

constexpr size_t kRotatedBytes = size_t{256} << 20;  // well past any last-level cache
constexpr size_t kRounds = 12, kLeastCalls = 20, kFewestCalls = 3;
constexpr double kLongestSeconds = 2.0;

}  // namespace

BufferSets::BufferSets(Device& device, const std::vector<size_t>& bytes,
                       const std::vector<DevicePtr>& from) {
  size_t total = 1;
  for (const size_t b : bytes) total += b;
  const size_t least = total > kRotatedBytes ? 1 : 2;
  const size_t count = std::clamp<size_t>(kRotatedBytes / total + 1, least, 64);
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

namespace {

// time(set, warm_up), which returns seconds, for one set after another until there are enough.
template <class Time>
void over_sets(size_t sets, Time time) {
  size_t calls = 0;
  double total = 0.0;
  const auto enough = [&](size_t round) {
    return (round >= kRounds && calls >= kLeastCalls) ||
           (total >= kLongestSeconds && calls >= kFewestCalls);
  };
  for (size_t round = 0; !enough(round); ++round)
    for (size_t set = 0; set < sets && !enough(round); ++set) {
      const double taken = time(set, round == 0);
      if (round == 0) continue;
      ++calls;
      total += taken;
    }
}

double median(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

double demanded_seconds() {
  std::fflush(stdout);
  double seconds = 0.0;
  return std::scanf("%lf", &seconds) == 1 ? seconds : 0.0;
}

}  // namespace

double seconds_of(Device& device, const Timed& timed) {
  std::vector<double> seconds;
  over_sets(timed.sets.pointers.size(), [&](size_t set, bool warm_up) {
    const double taken =
        device.runtime().time(device.stream(), [&] { timed.call(timed.sets.pointers[set]); });
    if (!warm_up) seconds.push_back(taken);
    return taken;
  });
  return median(std::move(seconds));
}

TurnSeconds seconds_in_turns(Device& device, const Timed& first, const Timed& second) {
  std::vector<double> seconds[2];
  over_sets(first.sets.pointers.size(), [&](size_t set, bool warm_up) {
    double total = 0.0;
    for (int i = 0; i < 2; ++i) {
      const Timed& timed = i == 0 ? first : second;
      const auto& pointers = timed.sets.pointers[set % timed.sets.pointers.size()];
      const double taken = device.runtime().time(device.stream(), [&] { timed.call(pointers); });
      if (!warm_up) seconds[i].push_back(taken);
      total += taken;
    }
    return total;
  });
  return {median(std::move(seconds[0])), median(std::move(seconds[1]))};
}

bool DemandedTurns::wants(const std::string& row) {
  std::printf("row %s\n", row.c_str());
  wanted_ = demanded_seconds();
  return wanted_ > 0.0;
}

void DemandedTurns::answer(const std::function<double(size_t)>& call) {
  for (size_t n = 0; wanted_ > 0.0; wanted_ = demanded_seconds()) {
    std::vector<double> seconds;
    for (double total = 0.0; seconds.empty() || total < wanted_; total += seconds.back())
      seconds.push_back(call(n++));
    std::printf("%.9g\n", median(std::move(seconds)));
  }
}

}  // namespace ab
