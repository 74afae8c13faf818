// Memory as the vendors' libraries want it: flat parameters may begin anywhere, cuDNN's tensors and
// cuBLASLt's bias may not.
#pragma once
#include <cstdint>

#include "engine/arena.h"
#include "engine/device.h"

namespace ab::cuda {

// The address itself where it lies on a multiple of 16 bytes, else a copy that does.
class Aligned {
 public:
  // read: the copy begins with what is there.
  Aligned(Arena& arena, Stream stream, DevicePtr address, size_t bytes, bool read)
      : runtime_(arena.device().runtime()), stream_(stream), address_(address), bytes_(bytes) {
    if (reinterpret_cast<uint64_t>(address.as<void>()) % kAlignment == 0) return;
    copy_ = Tensor(arena, {static_cast<int64_t>(bytes)}, DType::kUint8);
    if (read) runtime_.copy(stream_, copy_.data(), address_, bytes_);
  }
  DevicePtr data() const { return copy_ ? copy_.data() : address_; }
  void put_back() const {
    if (copy_) runtime_.copy(stream_, address_, copy_.data(), bytes_);
  }

 private:
  static constexpr uint64_t kAlignment = 16;
  Runtime& runtime_;
  Stream stream_;
  DevicePtr address_;
  size_t bytes_;
  Tensor copy_;
};

}  // namespace ab::cuda
