// Column statistics are taken per (row chunk, tile of channels): the local mean, then M2 about it
// while the chunk is still in cache, one sweep of memory. The first row of the chunk is subtracted
// before summing, so that a mean of 1000 costs no digits. Chunks are folded in order by Chan's
// formula ("Algorithms for computing the sample variance", 1983), written for many parts at once:
//   mean = sum n_b mean_b / n,  M2 = sum (M2_b + n_b (mean_b - mean)^2).
// Bytes: 2 reads and 1 write of (rows, C), one more read with a residual. Accumulation in float, in
// an order fixed by the shape.
#include <cmath>

#include "kernels/batch_norm.h"
#include "kernels/batch_norm_tiling.h"

namespace ab {
namespace {

template <class T>
struct LocalStatistics {
  const T* x;
  float *mean, *m2;  // (chunks, C)
  ColumnTiling tiling;

  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = tiling.at(block.index());
    const int64_t width = tiling.cols, place = t.chunk * width + t.first_col;
    const T *rows = x + t.first_col, *origin = rows + t.first_row * width;
    float *out_mean = mean + place, *out_m2 = m2 + place;
    const float inverse = 1.0f / static_cast<float>(t.last_row - t.first_row);
    block.column_sum<kWideTile>(
        t.first_row, t.last_row, t.width,
        [=](int64_t r, int c) { return load(rows[r * width + c]) - load(origin[c]); },
        [=](int c, float total) { out_mean[c] = load(origin[c]) + total * inverse; });
    block.column_sum<kWideTile>(
        t.first_row, t.last_row, t.width,
        [=](int64_t r, int c) {
          const float d = load(rows[r * width + c]) - out_mean[c];
          return d * d;
        },
        [=](int c, float total) { out_m2[c] = total; });
  }
};

struct FoldStatistics {
  const float *chunk_mean, *chunk_m2;  // (chunks, C)
  float *mean, *m2;                    // (C)
  ColumnTiling tiling, fold;           // of the rows, of the chunks

  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = fold.at(block.index());
    const ColumnTiling sizes = tiling;
    const int64_t width = fold.cols;
    const float *means = chunk_mean + t.first_col, *m2s = chunk_m2 + t.first_col;
    float *out_mean = mean + t.first_col, *out_m2 = m2 + t.first_col;
    const float inverse = 1.0f / static_cast<float>(sizes.rows);
    const auto count = [=](int64_t b) {
      return static_cast<float>(sizes.last_row(b) - sizes.first_row(b));
    };
    block.column_sum<kColumnTile>(
        t.first_row, t.last_row, t.width,
        [=](int64_t b, int c) { return count(b) * (means[b * width + c] - means[c]); },
        [=](int c, float total) { out_mean[c] = means[c] + total * inverse; });
    block.column_sum<kColumnTile>(
        t.first_row, t.last_row, t.width,
        [=](int64_t b, int c) {
          const float d = means[b * width + c] - out_mean[c];
          return m2s[b * width + c] + count(b) * d * d;
        },
        [=](int c, float total) { out_m2[c] = total; });
  }
};

struct Merge {
  const float* local_mean;
  float *mean, *m2;
  float rows, inverse_replicas;
  AB_FN void operator()(int64_t c) const {
    const float global = mean[c] * inverse_replicas;
    const float d = local_mean[c] - global;
    mean[c] = global;
    m2[c] += rows * d * d;
  }
};

struct Finish {
  const float *mean, *m2;
  float *rstd, *running_mean, *running_var;
  float inverse_count, unbiased, epsilon, momentum;
  AB_FN void operator()(int64_t c) const {
    const float sum = m2[c];
    rstd[c] = 1.0f / sqrtf(sum * inverse_count + epsilon);
    if (!running_mean) return;
    running_mean[c] += momentum * (mean[c] - running_mean[c]);
    running_var[c] += momentum * (sum * unbiased - running_var[c]);
  }
};

template <class T, bool kResidual, bool kRelu>
struct Apply {
  const T *x, *residual;
  T* y;
  const float *mean, *rstd, *gamma, *beta;
  int64_t rows, channels, block_rows;

  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * block_rows, width = channels;
    const int64_t last = first + block_rows < rows ? first + block_rows : rows;
    const T *in = x, *add = residual;
    T* out = y;
    const float *m = mean, *s = rstd, *g = gamma, *b = beta;
    each_row(block, first, last, width, [=](int64_t r, int64_t c) {
      const int64_t i = r * width + c;
      float z = normalised(load(in[i]), m[c], s[c], g[c], b[c]);
      if constexpr (kResidual) z += load(add[i]);
      if constexpr (kRelu) z = z < 0.0f ? 0.0f : z;  // keeps NaN
      store(&out[i], z);
    });
  }
};

}  // namespace

size_t batch_norm_scratch_bytes(int64_t rows, int64_t channels) {
  return static_cast<size_t>(2 * ceil_div(rows, chunk_rows_of(rows)) * channels) * sizeof(float);
}

void batch_norm_statistics(Stream stream, DType dtype, const BatchNormStatistics& args) {
  const ColumnTiling tiling = batch_norm_tiling(stream, args.rows, args.channels);
  const ColumnTiling fold = fold_tiling(tiling.chunks, args.channels);
  float* means = args.scratch.as<float>();
  float* m2s = means + tiling.chunks * args.channels;
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, tiling.grid(), LocalStatistics<T>{args.x.as<const T>(), means, m2s, tiling});
  });
  launch(stream, fold.grid(),
         FoldStatistics{means, m2s, args.mean.as<float>(), args.m2.as<float>(), tiling, fold});
}

void batch_norm_merge(Stream stream, const BatchNormMerge& args) {
  launch_flat(stream, args.channels,
              Merge{args.local_mean.as<const float>(), args.mean.as<float>(), args.m2.as<float>(),
                    static_cast<float>(args.rows), 1.0f / static_cast<float>(args.replicas)});
}

void batch_norm_finish(Stream stream, const BatchNormFinish& args) {
  const float count = static_cast<float>(args.count);
  launch_flat(stream, args.channels,
              Finish{args.mean.as<const float>(), args.m2.as<const float>(), args.rstd.as<float>(),
                     args.running_mean.as<float>(), args.running_var.as<float>(), 1.0f / count,
                     1.0f / (args.count > 1 ? count - 1.0f : 1.0f), args.epsilon, args.momentum});
}

void batch_norm_apply(Stream stream, DType dtype, const BatchNormApply& args) {
  const int64_t block_rows = apply_rows(args.channels);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    choose(static_cast<bool>(args.residual), args.relu, [&](auto residual, auto relu) {
      launch(stream, Grid{ceil_div(args.rows, block_rows), 256, 0},
             Apply<T, residual.value, relu.value>{
                 args.x.as<const T>(), args.residual.as<const T>(), args.y.as<T>(),
                 args.mean.as<const float>(), args.rstd.as<const float>(),
                 args.gamma.as<const float>(), args.beta.as<const float>(), args.rows,
                 args.channels, block_rows});
    });
  });
}

}  // namespace ab
