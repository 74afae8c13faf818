// Counts of top-1 and top-5 hits of a batch.
//   rank of the label = classes with a larger logit + classes of lower index with an equal one;
//   top-k hit: rank < k, so that with k classes or fewer every sample hits. A label outside [0,
//   classes) never hits, a NaN logit counts as larger than any label's.
#pragma once
#include "kernels/stream.h"

namespace ab {

struct TopKCount {
  DevicePtr logits;  // (rows, classes)
  DevicePtr labels;  // int32 (rows)
  int64_t rows = 0, classes = 0;
  DevicePtr ranks;  // scratch, fp32 (rows)
  DevicePtr hits;   // out, fp32 (2): top-1, top-5; exact below 2^24
};
void count_top_hits(Stream stream, DType dtype, const TopKCount& args);

}  // namespace ab
