// Backward of batch normalisation, one sweep for the sums and one for dx:
//   dbeta = sum dz,  dgamma = sum dz xhat,  xhat = (x - mean) rstd
//   dx = gamma rstd (dz - (dbeta + xhat dgamma) / n),  dz = dy or dy (y > 0),  dresidual = dz
// Source: S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015, section 3. Sums are taken per
// (row chunk, tile of channels) and folded in order, in float. Bytes: 4 reads and 1 write of (rows,
// C), two more reads where the sign of y cannot be recomputed, one more write with a residual.
#include "kernels/batch_norm.h"
#include "kernels/batch_norm_tiling.h"

namespace ab {
namespace {

// Where the sign behind a ReLU comes from.
enum class Mask { kNone, kFromX, kFromY };

// The operands of both backward sweeps, seen from column `column` on.
template <class T, Mask kMask>
struct Gradient {
  const T *x, *y, *dy;
  const float *mean, *rstd, *gamma, *beta;
  int64_t width;

  AB_FN Gradient at(int64_t column) const {
    return {x + column,    y ? y + column : y, dy + column,   mean + column,
            rstd + column, gamma + column,     beta + column, width};
  }
  AB_FN float xhat(int64_t r, int64_t c) const {
    return (load(x[r * width + c]) - mean[c]) * rstd[c];
  }
  AB_FN float dz(int64_t r, int64_t c) const {
    const int64_t i = r * width + c;
    const float d = load(dy[i]);
    if constexpr (kMask == Mask::kFromX)
      return normalised(load(x[i]), mean[c], rstd[c], gamma[c], beta[c]) > 0.0f ? d : 0.0f;
    else if constexpr (kMask == Mask::kFromY)
      return load(y[i]) > 0.0f ? d : 0.0f;
    else
      return d;
  }
};

template <class T, Mask kMask>
struct LocalSums {
  Gradient<T, kMask> gradient;
  float *sum_dz, *sum_dz_xhat;  // (chunks, C)
  ColumnTiling tiling;

  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = tiling.at(block.index());
    const int64_t place = t.chunk * tiling.cols + t.first_col;
    const Gradient<T, kMask> g = gradient.at(t.first_col);
    float *out_dz = sum_dz + place, *out_dz_xhat = sum_dz_xhat + place;
    column_sums(
        block, t.first_row, t.last_row, t.width,
        [=](int64_t r, int c) {
          const float dz = g.dz(r, c);
          return Pair{dz, dz * g.xhat(r, c)};
        },
        [=](int c, Pair total) {
          out_dz[c] = total.first;
          out_dz_xhat[c] = total.second;
        });
  }
};

struct FoldSums {
  const float *chunk_dz, *chunk_dz_xhat;  // (chunks, C)
  float* sums;                            // (2, C)
  float *dgamma, *dbeta;                  // (C) or null
  float keep_dgamma, keep_dbeta;
  ColumnTiling tiling;  // of the chunks

  AB_FN void operator()(const Block& block) const {
    const ColumnTile t = tiling.at(block.index());
    const int64_t width = tiling.cols, column = t.first_col;
    const float *a = chunk_dz + column, *b = chunk_dz_xhat + column;
    float *out_a = sums + column, *out_b = sums + width + column;
    float *weight = dgamma ? dgamma + column : nullptr, *bias = dbeta ? dbeta + column : nullptr;
    const float keep_weight = keep_dgamma, keep_bias = keep_dbeta;
    column_sums(
        block, t.first_row, t.last_row, t.width,
        [=](int64_t r, int c) {
          return Pair{a[r * width + c], b[r * width + c]};
        },
        [=](int c, Pair total) {
          out_a[c] = total.first;
          out_b[c] = total.second;
          // keep = 0 must not read: the buffer may hold anything, NaN included.
          if (bias) bias[c] = (keep_bias == 0.0f ? 0.0f : keep_bias * bias[c]) + total.first;
          if (weight)
            weight[c] = (keep_weight == 0.0f ? 0.0f : keep_weight * weight[c]) + total.second;
        });
  }
};

template <class T, Mask kMask, bool kInput, bool kResidual>
struct BackwardApply {
  Gradient<T, kMask> gradient;
  const float* sums;  // (2, C)
  float inverse_count;
  T *dx, *dresidual;
  int64_t rows, block_rows;

  AB_FN void operator()(const Block& block) const {
    const int64_t first = block.index() * block_rows, width = gradient.width;
    const int64_t last = first + block_rows < rows ? first + block_rows : rows;
    const Gradient<T, kMask> g = gradient;
    const float *sum_dz = sums, *sum_dz_xhat = sums + width;
    const float share = inverse_count;
    T *out = dx, *out_residual = dresidual;
    each_row(block, first, last, width, [=](int64_t r, int64_t c) {
      const float dz = g.dz(r, c);
      if constexpr (kResidual) store(&out_residual[r * width + c], dz);
      if constexpr (kInput) {
        const float common = (sum_dz[c] + g.xhat(r, c) * sum_dz_xhat[c]) * share;
        store(&out[r * width + c], g.gamma[c] * g.rstd[c] * (dz - common));
      }
    });
  }
};

template <Mask kMask>
using MaskConstant = std::integral_constant<Mask, kMask>;

template <class F>
void choose_mask(const BatchNormGradient& args, F f) {
  if (!args.relu)
    f(MaskConstant<Mask::kNone>{});
  else if (args.y)
    f(MaskConstant<Mask::kFromY>{});
  else
    f(MaskConstant<Mask::kFromX>{});
}

template <class T, Mask kMask>
Gradient<T, kMask> gradient_of(const BatchNormGradient& a) {
  return {a.x.as<const T>(),        a.y.as<const T>(),
          a.dy.as<const T>(),       a.mean.as<const float>(),
          a.rstd.as<const float>(), a.gamma.as<const float>(),
          a.beta.as<const float>(), a.channels};
}

}  // namespace

void batch_norm_backward_sums(Stream stream, DType dtype, const BatchNormGradient& args,
                              const BatchNormSums& sums) {
  const ColumnTiling tiling = batch_norm_tiling(stream, args.rows, args.channels);
  const ColumnTiling fold = fold_tiling(tiling.chunks, args.channels);
  float* dz = sums.scratch.as<float>();
  float* dz_xhat = dz + tiling.chunks * args.channels;
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    choose_mask(args, [&](auto mask) {
      constexpr Mask kMask = decltype(mask)::value;
      launch(stream, tiling.grid(),
             LocalSums<T, kMask>{gradient_of<T, kMask>(args), dz, dz_xhat, tiling});
    });
  });
  launch(stream, fold.grid(),
         FoldSums{dz, dz_xhat, sums.sums.as<float>(), sums.dgamma.as<float>(),
                  sums.dbeta.as<float>(), sums.keep_dgamma, sums.keep_dbeta, fold});
}

void batch_norm_backward_apply(Stream stream, DType dtype, const BatchNormGradient& args,
                               const BatchNormInput& input) {
  const int64_t block_rows = apply_rows(args.channels);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    choose_mask(args, [&](auto mask) {
      constexpr Mask kMask = decltype(mask)::value;
      choose(static_cast<bool>(input.dx), static_cast<bool>(input.dresidual),
             [&](auto has_dx, auto has_residual) {
               launch(stream, Grid{ceil_div(args.rows, block_rows), 256, 0},
                      BackwardApply<T, kMask, has_dx.value, has_residual.value>{
                          gradient_of<T, kMask>(args), input.sums.as<const float>(),
                          input.inverse_count, input.dx.as<T>(), input.dresidual.as<T>(), args.rows,
                          block_rows});
             });
    });
  });
}

}  // namespace ab
