// 64-bit hash of memory, to prove that replicas hold the same bits.
//   hash = sum over 32-bit words i of mix((i + 1) << 32 ^ word_i)  mod 2^64,  mix = splitmix64's
//   finaliser
// It depends on the order of the words, through i; the sum of integers does not depend on the order
// of adding, so any number of threads gives the same value. Not cryptographic.
#pragma once
#include "kernels/stream.h"

namespace ab {

size_t checksum_scratch_bytes(int64_t bytes);

// data: 4-byte aligned, any length (a last partial word is filled with zeros, the length is mixed
// in). result: one uint64 in device memory.
void checksum(Stream stream, int64_t bytes, DevicePtr data, DevicePtr scratch, DevicePtr result);

}  // namespace ab
