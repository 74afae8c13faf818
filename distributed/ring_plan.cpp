#include "distributed/ring_plan.h"

#include <algorithm>
#include <stdexcept>

#include "distributed/traffic.h"
#include "kernels/numbers.h"

namespace ab {
namespace {

// Appends block [offset, offset + bytes) in segments; returns how many there were.
int64_t append(std::vector<RingSegment>& list, int64_t offset, int64_t bytes, bool sum,
               int64_t segment_bytes) {
  int64_t count = 0;
  for (int64_t done = 0; done < bytes; done += segment_bytes, ++count)
    list.push_back({offset + done, std::min(segment_bytes, bytes - done), sum, 0});
  return count;
}

template <class T>
void add(void* into, const void* from, int64_t elements) {
  T* to = static_cast<T*>(into);
  const T* values = static_cast<const T*>(from);
#pragma omp simd
  for (int64_t i = 0; i < elements; ++i) to[i] += values[i];
}

void add_bf16(void* into, const void* from, int64_t elements) {
  BFloat16* to = static_cast<BFloat16*>(into);
  const BFloat16* values = static_cast<const BFloat16*>(from);
#pragma omp simd
  for (int64_t i = 0; i < elements; ++i) store(&to[i], load(to[i]) + load(values[i]));
}

struct ByteBlock {
  int64_t offset, bytes;
};

// The chain of blocks of an all-reduce or all-gather.
std::vector<ByteBlock> chain_of(Collective collective, int64_t elements, int64_t width, int rank,
                                int n) {
  std::vector<ByteBlock> chain;
  const bool reduce = collective == Collective::kAllReduce;
  const int blocks = reduce ? 2 * n - 1 : n;
  for (int i = 0; i < blocks; ++i) {
    const int c = ((rank - i - (reduce ? 1 : 0)) % n + n) % n;
    if (reduce) {
      const int64_t begin = chunk_begin(elements, n, c);
      chain.push_back({begin * width, (chunk_begin(elements, n, c + 1) - begin) * width});
    } else {
      chain.push_back({c * elements * width, elements * width});
    }
  }
  return chain;
}

RingPlan plan_broadcast(int64_t bytes, int position, int n, int64_t segment_bytes) {
  RingPlan plan;
  if (position > 0) append(plan.arrivals, 0, bytes, false, segment_bytes);
  if (position < n - 1) {
    append(plan.sends, 0, bytes, false, segment_bytes);
    for (size_t i = 0; position > 0 && i < plan.sends.size(); ++i)
      plan.sends[i].needs = static_cast<int64_t>(i) + 1;
  }
  return plan;
}

}  // namespace

RingPlan plan_ring(Collective collective, int64_t elements, DType dtype, int rank, int size,
                   int root, int64_t segment_bytes) {
  const int64_t width = static_cast<int64_t>(size_of(dtype));
  if (collective == Collective::kBroadcast)
    return plan_broadcast(elements * width, (rank - root + size) % size, size, segment_bytes);
  const auto chain = chain_of(collective, elements, width, rank, size);
  const size_t n = static_cast<size_t>(size);
  RingPlan plan;
  int64_t first_segments = 0;
  std::vector<int64_t> sent_after;  // segments sent when block i has left
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    const int64_t count = append(plan.sends, chain[i].offset, chain[i].bytes, false, segment_bytes);
    if (i == 0) first_segments = count;
    sent_after.push_back(static_cast<int64_t>(plan.sends.size()));
  }
  // A block is cut the same way when it arrives and when it is passed on.
  for (size_t s = static_cast<size_t>(first_segments); s < plan.sends.size(); ++s)
    plan.sends[s].needs = static_cast<int64_t>(s) - first_segments + 1;
  for (size_t i = 1; i < chain.size(); ++i) {
    const size_t from = plan.arrivals.size();
    const bool sum = collective == Collective::kAllReduce && i < n;
    append(plan.arrivals, chain[i].offset, chain[i].bytes, sum, segment_bytes);
    // The final sums land where a partial sum was sent from n blocks earlier.
    for (size_t s = from; i >= n && s < plan.arrivals.size(); ++s)
      plan.arrivals[s].needs = sent_after[i - n];
  }
  return plan;
}

bool can_sum(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kBFloat16 || dtype == DType::kFloat64 ||
         dtype == DType::kInt64;
}

void sum_into(DType dtype, void* into, const void* from, int64_t elements) {
  switch (dtype) {
    case DType::kFloat32:
      return add<float>(into, from, elements);
    case DType::kBFloat16:
      return add_bf16(into, from, elements);
    case DType::kFloat64:
      return add<double>(into, from, elements);
    case DType::kInt64:
      return add<uint64_t>(into, from, elements);  // wraps instead of overflowing
    default:
      throw std::invalid_argument(std::string("cannot sum ") + name_of(dtype));
  }
}

}  // namespace ab
