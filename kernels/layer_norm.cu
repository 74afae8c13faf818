// Layer normalisation. Forward: one row a block, three passes of which one reaches memory.
// Backward: a block walks a chunk of rows; each row gives its two sums and dx, and adds dy xhat and
// dy to the chunk's running column totals in scratch memory, so that x and dy are read once for dx,
// dgamma and dbeta together. The chunks' totals are folded in order (kernels/columns.h). Formulas
// and bytes moved: layer_norm.h. All sums in float.
#include "kernels/columns.h"
#include "kernels/formulas.h"
#include "kernels/launch.h"
#include "kernels/layer_norm.h"

namespace ab {
namespace {

template <class T>
struct Forward {
  const T* x;
  T* y;
  const float *gamma, *beta;
  float *mean, *rstd;
  int64_t cols;
  float epsilon;
  AB_FN void operator()(const Block& block) const {
    const T* in = x + block.index() * cols;
    T* out = y + block.index() * cols;
    const float *g = gamma, *b = beta;
    const float count = static_cast<float>(cols);
    const float m = block.sum(cols, [=](int64_t c) { return load(in[c]); }) / count;
    const float variance = block.sum(cols, [=](int64_t c) {
      const float distance = load(in[c]) - m;
      return distance * distance;
    }) / count;
    const float r = 1.0f / sqrtf(variance + epsilon);
    block.each(cols, [=](int64_t c) { store(out + c, (load(in[c]) - m) * r * g[c] + b[c]); });
    float *mean_out = mean + block.index(), *rstd_out = rstd + block.index();
    block.once([=] {
      *mean_out = m;
      *rstd_out = r;
    });
  }
};

// Rows of one backward block: 32, or more where that would give over 1024 blocks.
int64_t chunk_rows(int64_t rows) {
  return rows > 32768 ? ceil_div(rows, 1024) : 32;
}

template <class T>
struct Backward {
  const T *x, *dy;
  T* dx;
  const float *gamma, *mean, *rstd;
  float* partial;  // (chunks, 2, cols), or null: dgamma and dbeta are not wanted
  int64_t rows, cols, rows_per_chunk;
  bool in_shared;  // the totals fit the block's scratch
  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * rows_per_chunk;
    const int64_t last = first + rows_per_chunk < rows ? first + rows_per_chunk : rows;
    float* to = partial + block.index() * 2 * cols;
    float* totals = in_shared ? block.shared<float>() : to;
    const bool sums = partial != nullptr;
    if (sums) block.each(2 * cols, [=](int64_t c) { totals[c] = 0.0f; });
    for (int64_t r = first; r < last; ++r) row(block, r, sums ? totals : nullptr);
    if (sums && in_shared) block.each(2 * cols, [=](int64_t c) { to[c] = totals[c]; });
  }

  AB_FN void row(const Block& block, int64_t r, float* totals) const {
    const T *in = x + r * cols, *grad = dy + r * cols;
    T* out = dx + r * cols;
    const float* g = gamma;
    const float m = mean[r], scale = rstd[r], count = static_cast<float>(cols);
    const Pair sums = block.sums(cols, [=](int64_t c) {
      const float d = load(grad[c]) * g[c];
      return Pair{d, d * ((load(in[c]) - m) * scale)};
    });
    const float mean_g = sums.first / count, mean_gx = sums.second / count;
    const T *next = in + cols, *next_grad = grad + cols;
    const auto fetch_next = [=](int64_t c, int64_t count) {
      fetch(next + c, count);
      fetch(next_grad + c, count);
    };
    if (totals == nullptr) {
      block.each(
          cols,
          [=](int64_t c) {
            const float xhat = (load(in[c]) - m) * scale;
            store(out + c, scale * (load(grad[c]) * g[c] - mean_g - xhat * mean_gx));
          },
          fetch_next);
      return;
    }
    float *dgamma = totals, *dbeta = totals + cols;
    block.each(
        cols,
        [=](int64_t c) {
          const float xhat = (load(in[c]) - m) * scale, d = load(grad[c]);
          dgamma[c] += d * xhat;
          dbeta[c] += d;
          store(out + c, scale * (d * g[c] - mean_g - xhat * mean_gx));
        },
        fetch_next);
  }
};

int row_threads(int64_t cols) {
  return cols >= 256 ? 256 : static_cast<int>(ceil_div(cols, 32) * 32);
}

}  // namespace

size_t layer_norm_scratch_bytes(int64_t rows, int64_t cols) {
  return static_cast<size_t>(ceil_div(rows, chunk_rows(rows)) * 2 * cols) * sizeof(float);
}

void layer_norm_forward(Stream stream, DType dtype, const LayerNorm& a) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{a.rows, row_threads(a.cols), 0},
           Forward<T>{a.x.as<T>(), a.y.as<T>(), a.gamma.as<float>(), a.beta.as<float>(),
                      a.mean.as<float>(), a.rstd.as<float>(), a.cols, a.epsilon});
  });
}

void layer_norm_backward(Stream stream, DType dtype, const LayerNormGradient& a) {
  const bool sums = a.dgamma || a.dbeta;
  const int64_t chunk = chunk_rows(a.rows), chunks = ceil_div(a.rows, chunk);
  const int64_t total_bytes = 2 * a.cols * static_cast<int64_t>(sizeof(float));
  const bool in_shared = sums && total_bytes <= kMaxSharedBytes;
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{chunks, row_threads(a.cols), in_shared ? static_cast<int>(total_bytes) : 0},
           Backward<T>{a.x.as<T>(), a.dy.as<T>(), a.dx.as<T>(), a.gamma.as<float>(),
                       a.mean.as<float>(), a.rstd.as<float>(),
                       sums ? a.scratch.as<float>() : nullptr, a.rows, a.cols, chunk, in_shared});
  });
  const DevicePtr betas = a.scratch.plus_bytes(static_cast<size_t>(a.cols) * sizeof(float));
  if (a.dgamma)
    fold_columns(stream, {chunks, a.cols, 2 * a.cols, a.scratch, a.dgamma, a.gamma_factor});
  if (a.dbeta) fold_columns(stream, {chunks, a.cols, 2 * a.cols, betas, a.dbeta, a.beta_factor});
}

}  // namespace ab
