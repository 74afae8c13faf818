#include "engine/inspection.h"

#include "kernels/checksum.h"
#include "kernels/finite.h"

namespace ab {
namespace {

Tensor bytes_of(Arena& arena, size_t bytes) {
  return Tensor(arena, {static_cast<int64_t>(bytes)}, DType::kUint8);
}

template <class T>
T read_back(Arena& arena, Stream stream, const Tensor& from) {
  T value{};
  arena.device().runtime().copy_to_host(stream, &value, from.data(), sizeof value);
  return value;
}

}  // namespace

uint64_t checksum_of(Arena& arena, Stream stream, const Tensor& tensor) {
  const int64_t bytes = static_cast<int64_t>(tensor.bytes());
  const Tensor scratch = bytes_of(arena, checksum_scratch_bytes(bytes));
  const Tensor result = bytes_of(arena, sizeof(uint64_t));
  checksum(stream, bytes, tensor.data(), scratch.data(), result.data());
  return read_back<uint64_t>(arena, stream, result);
}

int64_t non_finite_in(Arena& arena, Stream stream, const Tensor& tensor) {
  const Tensor scratch = bytes_of(arena, count_non_finite_scratch_bytes(tensor.elements()));
  const Tensor result = bytes_of(arena, sizeof(int64_t));
  count_non_finite(stream, tensor.dtype(), tensor.elements(), tensor.data(), scratch.data(),
                   result.data());
  return read_back<int64_t>(arena, stream, result);
}

}  // namespace ab
