// Sum of squares (norm.h), in two launches: a partial sum per chunk, then one block for the rest.
// The second one gives every lane a strided share of the partial sums and folds the lanes in order;
// the number of lanes is fixed, so host and CUDA fold alike. At 1e8 elements it reads 98 KB.
#include "kernels/launch.h"
#include "kernels/norm.h"

namespace ab {
namespace {

constexpr int kLanes = 256;

struct ChunkSums {
  const float* x;   // (n)
  float* partials;  // (chunks)
  int64_t n;

  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * kFlatChunk;
    const int64_t count = n - first < kFlatChunk ? n - first : kFlatChunk;
    const float* chunk = x + first;
    const float total = block.sum(count, [=](int64_t i) { return chunk[i] * chunk[i]; });
    float* out = partials + block.index();
    block.once([=] { *out = total; });
  }
};

struct FoldChunks {
  const float* partials;  // (chunks)
  double* result;
  int64_t chunks;

  AB_FN void operator()(const Block& block) const {
    double* lanes = block.shared<double>();
    const float* from = partials;
    const int64_t count = chunks;
    block.each(kLanes, [=](int64_t lane) {
      double total = 0.0;
      for (int64_t c = lane; c < count; c += kLanes) total += from[c];
      lanes[lane] = total;
    });
    double* out = result;
    block.once([=] {
      double total = 0.0;
      for (int lane = 0; lane < kLanes; ++lane) total += lanes[lane];
      *out = total;
    });
  }
};

}  // namespace

int64_t sum_of_squares_partials(int64_t n) {
  return n > 0 ? ceil_div(n, kFlatChunk) : 1;
}

void sum_of_squares(Stream stream, int64_t n, DevicePtr x, DevicePtr partials, DevicePtr result) {
  const int64_t chunks = n > 0 ? ceil_div(n, kFlatChunk) : 0;
  launch(stream, Grid{chunks, kLanes, 0}, ChunkSums{x.as<const float>(), partials.as<float>(), n});
  launch(stream, Grid{1, kLanes, kLanes * static_cast<int>(sizeof(double))},
         FoldChunks{partials.as<const float>(), result.as<double>(), chunks});
}

}  // namespace ab
