// Collectives over tensors, in the order of the stream that computes them.
#pragma once
#include <vector>

#include "distributed/communicator.h"
#include "engine/tensor.h"

namespace ab {

// values <- sum over ranks.
void all_reduce(Stream stream, Communicator& communicator, Purpose purpose, const Tensor& values);
// values <- mean over ranks.
void average(Stream stream, Communicator& communicator, Purpose purpose, const Tensor& values);
void broadcast(Stream stream, Communicator& communicator, Purpose purpose, const Tensor& values,
               int root);

}  // namespace ab
