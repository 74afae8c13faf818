#include "distributed/tensor_collectives.h"

#include <algorithm>

#include "kernels/elementwise.h"

namespace ab {

void all_reduce(Stream stream, Communicator& communicator, Purpose purpose, const Tensor& values) {
  communicator.start_all_reduce(purpose, stream, values.data(), values.elements(), values.dtype())
      ->wait();
}

void average(Stream stream, Communicator& communicator, Purpose purpose, const Tensor& values) {
  all_reduce(stream, communicator, purpose, values);
  scale(stream, values.dtype(), values.elements(), values.data(),
        1.0f / static_cast<float>(communicator.size()));
}

void broadcast(Stream stream, Communicator& communicator, Purpose purpose, const Tensor& values,
               int root) {
  communicator.broadcast(purpose, stream, values.data(), values.elements(), values.dtype(), root);
}

bool all_agree(Communicator& communicator, uint64_t word) {
  const int64_t mine = static_cast<int64_t>(word);
  std::vector<int64_t> all(static_cast<size_t>(communicator.size()));
  communicator.all_gather(Purpose::kHash, &mine, all.data(), 1, DType::kInt64);
  return std::all_of(all.begin(), all.end(), [&](int64_t other) { return other == mine; });
}

}  // namespace ab
