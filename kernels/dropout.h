// Dropout (Srivastava et al., 2014) and drop path (stochastic depth, Huang et al., 2016), both
// scaled by 1 / (1 - rate) in training. The mask is never stored: backward draws it again, as a
// pure function of (key, sample's place in the global batch, element of the sample). A sample so
// drops the same elements on whatever rank it lands, and the number of threads changes nothing.
// Arrays are (samples, elements) in `dtype`. Bytes moved per element of size s: dropout 2s,
// drop_path_add 3s, drop_path_backward 2s.
#pragma once
#include "kernels/philox.h"
#include "kernels/stream.h"

namespace ab {

// The Philox key that a use draws with: seed and stream folded, so that all 128 counter bits are
// left. Element e of sample s takes word e % 4 of philox(key, s, e / 4) and is kept where uniform
// >= rate; a drop path takes word 0 of philox(key, s, 0).
AB_FN uint64_t dropout_key(RandomKey key) {
  const Random4 r = philox(key.seed, key.stream, 0);
  return static_cast<uint64_t>(r.y) << 32 | r.x;
}

struct Dropout {
  int64_t samples = 0, elements = 0;  // elements of one sample
  DevicePtr x, y;                     // may be the same
  float rate = 0.0f;                  // 0 <= rate < 1: the share that becomes zero
  RandomKey key;
  int64_t first_sample = 0;  // the place of row 0 in the global batch
  DevicePtr origin = {};     // one uint64 added to key.stream when it runs; null: nothing is
};
// y = mask * x / (1 - rate); backward is the same call with dy for x and dx for y.
void dropout(Stream stream, DType dtype, const Dropout& arguments);

struct DropPath {
  int64_t samples = 0, elements = 0;
  DevicePtr x, branch, out;  // backward: branch = dy in, out = dbranch, x unused; out may be either
  float rate = 0.0f;
  RandomKey key;
  int64_t first_sample = 0;
  DevicePtr origin = {};
};
// out = x + s branch, with s = 0 for a dropped sample and 1 / (1 - rate) for a kept one.
void drop_path_add(Stream stream, DType dtype, const DropPath& arguments);
// out = s branch: the branch's gradient (x's is dy itself).
void drop_path_backward(Stream stream, DType dtype, const DropPath& arguments);

}  // namespace ab
