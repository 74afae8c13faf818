// What the methods beside AB-training need of a configuration: which gradients powersgd compresses.
#pragma once
#include "distributed/powersgd.h"
#include "tools/train/replica.h"

namespace ab {

// The matrices that AB-training would factor (method.md), as far as compressing them pays.
std::vector<CompressedMatrix> compressed_matrices(const Config& config, const Replica& replica);

// Device memory that a baseline takes beyond a plain step: powersgd's errors and factors; the copy
// of the weights while local-sgd evaluates averages.
size_t baseline_bytes(const Config& config, const Replica& replica);

// Null unless the method is powersgd.
std::unique_ptr<PowerSgd> make_powersgd(const Config& config, Replica& replica,
                                        Communicator& world);

}  // namespace ab
