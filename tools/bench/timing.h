// How the benchmarks time one call: the device's clock, inputs that no cache holds, the median.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/device.h"

namespace ab {

// Copies of a row's buffers, enough of them that no call finds its data in a cache.
struct BufferSets {
  std::vector<std::vector<Buffer>> sets;
  std::vector<std::vector<DevicePtr>> pointers;

  // from: what the copies hold; empty: zeros.
  BufferSets(Device& device, const std::vector<size_t>& bytes, const std::vector<DevicePtr>& from);
};

struct Timed {
  const BufferSets& sets;
  std::function<void(const std::vector<DevicePtr>&)> call;
};

// Median seconds of a call, by the device's clock; the first round over the sets warms up. Ends
// after 12 rounds and 20 calls, or as soon as three calls took two seconds.
double seconds_of(Device& device, const Timed& timed);

// Of two calls in turns: what slows the machine for a while slows both.
struct TurnSeconds {
  double first, second;
};
TurnSeconds seconds_in_turns(Device& device, const Timed& first, const Timed& second);

// Calls timed on demand, so that another program can time those of two processes in turns
// (tools/checkperf.py). For each row a line "row NAME" goes to standard output; every line of
// standard input is a number of seconds to be spent on calls, one call at least, and is answered
// with the median of their seconds. 0 ends the row, and so does the end of the input.
class DemandedTurns {
 public:
  // Names the next row; whether it is wanted, which is to be known before its data are made.
  bool wants(const std::string& row);
  // call(n): the seconds of call n of this row.
  void answer(const std::function<double(size_t)>& call);

 private:
  double wanted_ = 0.0;
};

}  // namespace ab
