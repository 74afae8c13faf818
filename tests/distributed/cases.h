// What the local and the MPI communicator are both put through: values of a rank, and a run of
// every collective whose results are returned as bytes, to be compared to the bit.
#pragma once
#include <cstdint>
#include <vector>

#include "distributed/communicator.h"
#include "kernels/numbers.h"
#include "kernels/philox.h"

namespace ab {

// In [-1, 1), of widely different size, so that every order of summation rounds differently.
inline double value_of(int rank, int64_t i) {
  const Random4 r = philox(7, static_cast<uint64_t>(rank), static_cast<uint64_t>(i));
  return (2.0 * uniform(r.x) - 1.0) / static_cast<double>(1u << (r.y % 12));
}

template <class T>
std::vector<T> values_of(int rank, int64_t elements) {
  std::vector<T> values(static_cast<size_t>(elements));
  for (int64_t i = 0; i < elements; ++i) values[i] = static_cast<T>(value_of(rank, i) * 1000.0);
  return values;
}

template <>
inline std::vector<BFloat16> values_of<BFloat16>(int rank, int64_t elements) {
  std::vector<BFloat16> values(static_cast<size_t>(elements));
  for (int64_t i = 0; i < elements; ++i)
    store(&values[i], static_cast<float>(value_of(rank, i) * 1000.0));
  return values;
}

template <class T>
void append_bytes(std::vector<char>& bytes, const std::vector<T>& values) {
  const char* from = reinterpret_cast<const char*>(values.data());
  bytes.insert(bytes.end(), from, from + values.size() * sizeof(T));
}

template <class T>
void run_collectives(Communicator& c, int64_t elements, DType dtype, std::vector<char>& bytes) {
  std::vector<T> sums = values_of<T>(c.rank(), elements);
  c.all_reduce(Purpose::kMetrics, sums.data(), elements, dtype);
  append_bytes(bytes, sums);
  std::vector<T> copied = values_of<T>(c.rank() + 10, elements);
  c.broadcast(Purpose::kFactors, copied.data(), elements, dtype, c.size() - 1);
  append_bytes(bytes, copied);
  const std::vector<T> mine = values_of<T>(c.rank() + 20, elements);
  std::vector<T> all(static_cast<size_t>(elements * c.size()));
  c.all_gather(Purpose::kHash, mine.data(), all.data(), elements, dtype);
  append_bytes(bytes, all);
}

// Every collective on every type, blocking and overlapping, on `world` and on two halves of it.
inline std::vector<char> run_everything(Communicator& world) {
  std::vector<char> bytes;
  for (const int64_t elements : {0, 1, 3, 101, 300007}) {
    run_collectives<float>(world, elements, DType::kFloat32, bytes);
    run_collectives<BFloat16>(world, elements, DType::kBFloat16, bytes);
    run_collectives<double>(world, elements, DType::kFloat64, bytes);
    run_collectives<int64_t>(world, elements, DType::kInt64, bytes);
  }
  const auto half = world.split(world.rank() < world.size() / 2 ? 0 : 1, "group");
  std::vector<std::vector<float>> buckets;
  std::vector<std::unique_ptr<Pending>> pending;
  for (int b = 0; b < 6; ++b) buckets.push_back(values_of<float>(world.rank() + b, 1000 * b + 7));
  world.ledger().set_phase(Phase::kAb);
  for (int b = 0; b < 6; ++b)
    pending.push_back((b % 2 ? *half : world)
                          .start_all_reduce(Purpose::kGradients, buckets[b].data(),
                                            static_cast<int64_t>(buckets[b].size()),
                                            DType::kFloat32));
  // Ranks wait in different orders, which must not matter.
  for (int b = 0; b < 6; ++b) pending[world.rank() % 2 ? 5 - b : b]->wait();
  for (const auto& bucket : buckets) append_bytes(bytes, bucket);
  return bytes;
}

}  // namespace ab
