// Patches, class token and positions of a vision transformer (A. Dosovitskiy et al., "An Image is
// Worth 16x16 Words", ICLR 2021, Eq. 1). Copies and one addition: every input is read once, every
// output written once. The gradients of class token and positions are sums over the batch in float,
// sample by sample, one block per (token, tile of columns).
#include <stdexcept>
#include <string>

#include "kernels/launch.h"
#include "kernels/rows.h"
#include "kernels/tokens.h"

namespace ab {
namespace {

constexpr int64_t kBlockRows = 16;  // token rows of one element-wise block

template <class T>
struct Patches {
  PatchShape shape;
  const T* x;
  T* y;

  // One row of patches per block. An image row's piece of a patch is a run of patch * channels.
  AB_FN void operator()(const Block& block) const {
    const int64_t side = shape.patch, run = side * shape.channels;
    const int64_t across = shape.width / side, line = shape.width * shape.channels;
    const T* in = x + block.index() * side * line;
    T* out = y + block.index() * across * side * run;
    each_row(
        block, 0, side * across, run, [=](int64_t i) { return (i % side) * line + i / side * run; },
        [=](int64_t from, int64_t i, int64_t e) { out[i * run + e] = in[from + e]; });
  }
};

struct RowRange {
  int64_t first, last;
};
AB_FN RowRange rows_of(int64_t block, int64_t rows) {
  const int64_t first = block * kBlockRows;
  return {first, first + kBlockRows < rows ? first + kBlockRows : rows};
}

template <class T>
struct Assemble {
  TokenShape shape;
  const T* x;
  const float *class_token, *positions;
  T* y;

  struct Row {
    const T* x;  // null: the class token
    const float* position;
  };
  AB_FN void operator()(const Block& block) const {
    const int64_t dim = shape.dim, length = shape.tokens + 1;
    const RowRange rows = rows_of(block.index(), shape.batch * length);
    const T* in = x;
    const float *token = class_token, *place = positions;
    T* out = y;
    each_row(
        block, rows.first, rows.last, dim,
        [=](int64_t r) {
          const int64_t n = r / length, t = r % length;
          return Row{t > 0 ? in + (n * (length - 1) + t - 1) * dim : nullptr, place + t * dim};
        },
        [=](const Row& row, int64_t r, int64_t c) {
          store(&out[r * dim + c], (row.x ? load(row.x[c]) : token[c]) + row.position[c]);
        });
  }
};

template <class T>
struct DropClassToken {
  TokenShape shape;
  const T* dy;
  T* dx;
  AB_FN void operator()(const Block& block) const {
    const int64_t dim = shape.dim, tokens = shape.tokens;
    const RowRange rows = rows_of(block.index(), shape.batch * tokens);
    const T* in = dy;
    T* out = dx;
    each_row(
        block, rows.first, rows.last, dim, [=](int64_t r) { return (r + r / tokens + 1) * dim; },
        [=](int64_t from, int64_t r, int64_t c) { out[r * dim + c] = in[from + c]; });
  }
};

template <class T>
struct SumOverBatch {
  TokenShape shape;
  const T* dy;
  float *dclass, *dpositions;
  float keep_class, keep_positions;
  int64_t tiles;
  int tile;

  AB_FN void operator()(const Block& block) const {
    const int64_t t = block.index() / tiles, column = block.index() % tiles * tile;
    const int64_t left = shape.dim - column, step = (shape.tokens + 1) * shape.dim;
    const T* in = dy + t * shape.dim + column;
    float* position = dpositions ? dpositions + t * shape.dim + column : nullptr;
    float* token = dclass && t == 0 ? dclass + column : nullptr;
    const float keep_token = keep_class, keep_position = keep_positions;
    block.column_sum<kWideTile>(
        0, shape.batch, static_cast<int>(left < tile ? left : tile),
        [=](int64_t n, int c) { return load(in[n * step + c]); },
        [=](int c, float total) {  // keep = 0 must not read: the buffer may hold a NaN
          if (position)
            position[c] = total + (keep_position == 0.0f ? 0.0f : keep_position * position[c]);
          if (token) token[c] = total + (keep_token == 0.0f ? 0.0f : keep_token * token[c]);
        });
  }
};

template <class T>
struct FirstForward {
  TokenShape shape;
  const T* x;
  T* y;
  AB_FN void operator()(const Block& block) const {
    const int64_t dim = shape.dim, step = shape.tokens * dim;
    const RowRange rows = rows_of(block.index(), shape.batch);
    const T* in = x;
    T* out = y;
    each_row(block, rows.first, rows.last, dim,
             [=](int64_t n, int64_t c) { out[n * dim + c] = in[n * step + c]; });
  }
};

template <class T>
struct FirstBackward {
  TokenShape shape;
  const T* dy;
  T* dx;
  AB_FN void operator()(const Block& block) const {
    const int64_t dim = shape.dim, tokens = shape.tokens;
    const RowRange rows = rows_of(block.index(), shape.batch * tokens);
    const T* in = dy;
    T* out = dx;
    each_row(
        block, rows.first, rows.last, dim,
        [=](int64_t r) { return r % tokens == 0 ? in + r / tokens * dim : nullptr; },
        [=](const T* from, int64_t r, int64_t c) {
          out[r * dim + c] = from ? from[c] : T{};  // all bits zero: 0.0 in either type
        });
  }
};

Grid row_grid(int64_t rows) {
  return {ceil_div(rows, kBlockRows), 256, 0};
}

}  // namespace

void extract_patches(Stream stream, DType dtype, const PatchShape& s, DevicePtr x, DevicePtr y) {
  if (s.patch < 1 || s.height % s.patch || s.width % s.patch)
    throw std::invalid_argument("patches of " + std::to_string(s.patch) +
                                " do not tile an image of " + std::to_string(s.height) + " x " +
                                std::to_string(s.width) + ": its sides must be multiples");
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{s.batch * (s.height / s.patch), 256, 0},
           Patches<T>{s, x.as<const T>(), y.as<T>()});
  });
}

void assemble_tokens_forward(Stream stream, DType dtype, const TokenShape& shape, DevicePtr x,
                             DevicePtr class_token, DevicePtr positions, DevicePtr y) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, row_grid(shape.batch * (shape.tokens + 1)),
           Assemble<T>{shape, x.as<const T>(), class_token.as<const float>(),
                       positions.as<const float>(), y.as<T>()});
  });
}

void assemble_tokens_backward(Stream stream, DType dtype, const TokenShape& shape,
                              const TokenGradients& args) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    if (args.dx)
      launch(stream, row_grid(shape.batch * shape.tokens),
             DropClassToken<T>{shape, args.dy.as<const T>(), args.dx.as<T>()});
    if (!args.dclass && !args.dpositions) return;
    const int tile = column_tile_of(stream);
    const int64_t tiles = ceil_div(shape.dim, tile);
    const int64_t tokens = args.dpositions ? shape.tokens + 1 : 1;
    launch(stream, Grid{tokens * tiles, kColumnTile, 0},
           SumOverBatch<T>{shape, args.dy.as<const T>(), args.dclass.as<float>(),
                           args.dpositions.as<float>(), args.keep_class, args.keep_positions, tiles,
                           tile});
  });
}

void first_token_forward(Stream stream, DType dtype, const TokenShape& shape, DevicePtr x,
                         DevicePtr y) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, row_grid(shape.batch), FirstForward<T>{shape, x.as<const T>(), y.as<T>()});
  });
}

void first_token_backward(Stream stream, DType dtype, const TokenShape& shape, DevicePtr dy,
                          DevicePtr dx) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, row_grid(shape.batch * shape.tokens),
           FirstBackward<T>{shape, dy.as<const T>(), dx.as<T>()});
  });
}

}  // namespace ab
