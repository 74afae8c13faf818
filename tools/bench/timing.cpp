#include "tools/bench/timing.h"

#include <algorithm>

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

double seconds_of(Device& device, const BufferSets& sets, double quantile,
                  const std::function<void(const std::vector<DevicePtr>&)>& call) {
  std::vector<double> seconds;
  double total = 0.0;
  const auto enough = [&](size_t round) {
    return (round >= kRounds && seconds.size() >= kLeastCalls) ||
           (total >= kLongestSeconds && seconds.size() >= kFewestCalls);
  };
  for (size_t round = 0; !enough(round); ++round)
    for (const auto& pointers : sets.pointers) {
      if (enough(round)) break;
      const double taken = device.runtime().time(device.stream(), [&] { call(pointers); });
      if (round == 0) continue;
      seconds.push_back(taken);
      total += taken;
    }
  std::sort(seconds.begin(), seconds.end());
  return seconds[static_cast<size_t>(quantile * static_cast<double>(seconds.size()))];
}

}  // namespace ab
