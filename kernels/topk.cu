// Top-1 and top-5 hits: one block finds a label's rank by counting the logits that beat it, a
// second launch counts ranks below 1 and 5. Counts are floats, exact below 2^24, so no order
// matters. Bytes: reads logits (rows, classes) and labels (rows) once.
#include "kernels/launch.h"
#include "kernels/topk.h"

namespace ab {
namespace {

constexpr float kNever = 1e30f;

template <class T>
struct LabelRank {
  const T* logits;
  const int32_t* labels;
  int64_t classes;
  float* ranks;

  AB_FN void operator()(const Block& block) const {
    const T* row = logits + block.index() * classes;
    const int64_t label = labels[block.index()];
    float* rank = ranks + block.index();
    if (label < 0 || label >= classes) {
      block.once([=] { *rank = kNever; });
      return;
    }
    const float own = load(row[label]);
    const int32_t mine = static_cast<int32_t>(label);
    const float beaten = block.sum(classes, [=](int64_t c) {
      const float other = load(row[c]);
      const int32_t place = static_cast<int32_t>(c);
      const bool larger = !(other <= own) & (place != mine),
                 earlier = (other == own) & (place < mine);
      return static_cast<float>(larger | earlier);
    });
    block.once([=] { *rank = own == own ? beaten : kNever; });
  }
};

struct CountRanks {
  const float* ranks;
  int64_t rows;
  float* hits;
  AB_FN void operator()(const Block& block) const {
    const float* rank = ranks;
    float* out = hits;
    const float first = block.sum(rows, [=](int64_t r) { return rank[r] < 1.0f ? 1.0f : 0.0f; });
    const float five = block.sum(rows, [=](int64_t r) { return rank[r] < 5.0f ? 1.0f : 0.0f; });
    block.once([=] {
      out[0] = first;
      out[1] = five;
    });
  }
};

}  // namespace

void count_top_hits(Stream stream, DType dtype, const TopKCount& args) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{args.rows, 128, 0},
           LabelRank<T>{args.logits.as<const T>(), args.labels.as<const int32_t>(), args.classes,
                        args.ranks.as<float>()});
  });
  launch(stream, Grid{1, 256, 0},
         CountRanks{args.ranks.as<const float>(), args.rows, args.hits.as<float>()});
}

}  // namespace ab
