// Sum of f(i) over [0, n) as a 64-bit integer, for hashes and counts: integer addition commutes, so
// every order gives the same bits. Blocks leave partial sums, one more launch adds them up.
// f is a struct with AB_FN uint64_t operator()(int64_t i) const. Private to kernels/.
#pragma once
#include "kernels/launch.h"

namespace ab {

constexpr int64_t kSumLanes = 256, kSumChunk = 16384;

// Adds f(first + i) for i in [0, count) into *out: lanes in scratch memory, then one thread.
template <class F>
AB_FN void sum_in_lanes(const Block& block, int64_t first, int64_t count, F f, uint64_t* out) {
  uint64_t* lanes = block.shared<uint64_t>();
  block.each(kSumLanes, [=](int64_t l) { lanes[l] = 0; });
  for (int64_t done = 0; done < count; done += kSumLanes) {
    const int64_t left = count - done, place = first + done;
    if (left >= kSumLanes)  // a constant trip count on the host
      block.each(kSumLanes, [=](int64_t l) { lanes[l] += f(place + l); });
    else
      block.each(left, [=](int64_t l) { lanes[l] += f(place + l); });
  }
  block.once([=] {
    uint64_t total = 0;
    for (int64_t l = 0; l < kSumLanes; ++l) total += lanes[l];
    *out = total;
  });
}

template <class F>
struct PartialIntegerSum {
  F f;
  int64_t n;
  uint64_t* partials;
  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * kSumChunk;
    sum_in_lanes(block, first, n - first < kSumChunk ? n - first : kSumChunk, f,
                 partials + block.index());
  }
};

struct ReadPartial {
  const uint64_t* partials;
  AB_FN uint64_t operator()(int64_t i) const { return partials[i]; }
};

struct FoldIntegerSum {
  const uint64_t* partials;
  int64_t count;
  uint64_t* out;
  AB_FN void operator()(const Block& block) const {
    sum_in_lanes(block, 0, count, ReadPartial{partials}, out);
  }
};

constexpr size_t integer_sum_scratch_bytes(int64_t n) {
  return static_cast<size_t>(ceil_div(n > 0 ? n : 1, kSumChunk)) * sizeof(uint64_t);
}

template <class F>
void integer_sum(Stream stream, int64_t n, F f, DevicePtr scratch, DevicePtr out) {
  const int64_t blocks = ceil_div(n, kSumChunk);
  const int shared = static_cast<int>(kSumLanes * sizeof(uint64_t));
  launch(stream, Grid{blocks, static_cast<int>(kSumLanes), shared},
         PartialIntegerSum<F>{f, n, scratch.as<uint64_t>()});
  launch(stream, Grid{1, static_cast<int>(kSumLanes), shared},
         FoldIntegerSum{scratch.as<const uint64_t>(), blocks, out.as<uint64_t>()});
}

}  // namespace ab
