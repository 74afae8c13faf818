#include "distributed/tensor_collectives.h"

#include <algorithm>

#include "kernels/elementwise.h"

namespace ab {

void all_reduce(Communicator& communicator, Purpose purpose, const Tensor& values) {
  communicator.all_reduce(purpose, values.data().as<void>(), values.elements(), values.dtype());
}

void average(Stream stream, Communicator& communicator, Purpose purpose, const Tensor& values) {
  all_reduce(communicator, purpose, values);
  scale(stream, values.dtype(), values.elements(), values.data(),
        1.0f / static_cast<float>(communicator.size()));
}

void broadcast(Communicator& communicator, Purpose purpose, const Tensor& values, int root) {
  communicator.broadcast(purpose, values.data().as<void>(), values.elements(), values.dtype(),
                         root);
}

bool all_agree(Communicator& communicator, uint64_t word) {
  const int64_t mine = static_cast<int64_t>(word);
  std::vector<int64_t> all(static_cast<size_t>(communicator.size()));
  communicator.all_gather(Purpose::kHash, &mine, all.data(), 1, DType::kInt64);
  return std::all_of(all.begin(), all.end(), [&](int64_t other) { return other == mine; });
}

}  // namespace ab
