#include "distributed/tensor_collectives.h"

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

}  // namespace ab
