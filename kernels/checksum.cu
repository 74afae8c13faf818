// Content hash: see checksum.h for the formula. The mixing function is the finaliser of splitmix64
// (G. Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014): a bijection of
// 64 bits, so two buffers that differ in one word always differ in their hash.
// Bytes: reads the data once.
#include "kernels/checksum.h"
#include "kernels/integer_sum.h"

namespace ab {
namespace {

AB_FN uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Word i of the data; one more element stands for the partial last word and the length.
struct WordHash {
  const uint32_t* words;
  AB_FN uint64_t operator()(int64_t i) const {
    return mix((static_cast<uint64_t>(i + 1) << 32) ^ words[i]);
  }
};

struct AddTail {
  const uint8_t* data;
  int64_t bytes;
  uint64_t* result;
  AB_FN void operator()(const Block& block) const {
    const uint8_t* tail = data + bytes / 4 * 4;
    const int64_t length = bytes;
    uint64_t* out = result;
    block.once([=] {
      uint64_t word = 0;
      for (int64_t i = 0; i < length % 4; ++i) word |= static_cast<uint64_t>(tail[i]) << (8 * i);
      *out += mix((static_cast<uint64_t>(length / 4 + 1) << 32) ^ word) +
              mix(~static_cast<uint64_t>(length));
    });
  }
};

}  // namespace

size_t checksum_scratch_bytes(int64_t bytes) {
  return integer_sum_scratch_bytes(bytes / 4);
}

void checksum(Stream stream, int64_t bytes, DevicePtr data, DevicePtr scratch, DevicePtr result) {
  integer_sum(stream, bytes / 4, WordHash{data.as<const uint32_t>()}, scratch, result);
  launch(stream, Grid{1, 32, 0}, AddTail{data.as<const uint8_t>(), bytes, result.as<uint64_t>()});
}

}  // namespace ab
