// Average pooling, NHWC, by fixed windows or by adaptive bins; the global average is one bin.
//   y[n,p,q,c] = sum of x over the window of (p, q) / its size
//   dx[n,h,w,c] = sum of dy / size over the windows that hold (h, w), a rectangle of outputs
// One block per pixel and channel tile, which adds the window's pixels in order, in float. Bytes:
// every input and output once where windows do not overlap.
#include <stdexcept>
#include <string>

#include "kernels/map.h"
#include "kernels/pooling.h"

namespace ab {
namespace {

// Channels of a block: finding its window costs a dozen divisions; the host's memory wants to be
// walked along whole pixels (kernels/columns.h).
constexpr int kTile = 512, kHostTile = 2048;
constexpr int kThreads = 256;
int tile_of(Stream stream) {
  return stream.device == DeviceKind::kHost ? kHostTile : kTile;
}

// One axis: which inputs an output covers, and the reverse.
struct Axis {
  int in, out, kernel, stride, padding;  // kernel 0: adaptive

  AB_FN static int at_least(int a, int low) { return a > low ? a : low; }
  AB_FN static int at_most(int a, int high) { return a < high ? a : high; }

  AB_FN int begin(int o) const { return kernel ? at_least(o * stride - padding, 0) : o * in / out; }
  AB_FN int end(int o) const {
    return kernel ? at_most(o * stride - padding + kernel, in) : ((o + 1) * in + out - 1) / out;
  }
  // What the sum is divided by: windows count their padding, bins are exact.
  AB_FN int size(int o) const { return kernel ? kernel : end(o) - begin(o); }
  // Outputs [first, last) whose windows hold input i: bins are symmetric in in and out.
  AB_FN int first(int i) const {
    if (!kernel) return i * out / in;
    const int after = i + padding - kernel;  // the last start that misses i
    return after < 0 ? 0 : after / stride + 1;
  }
  AB_FN int last(int i) const {
    return kernel ? at_most((i + padding) / stride + 1, out) : ((i + 1) * out + in - 1) / in;
  }
};

// Which pixel and channels a block has; 32 bits, whose divisions are several times cheaper.
struct Place {
  int n, row, column, first, channels;
  AB_FN Place(int64_t index, int rows, int columns, int depth, int tile) {
    const unsigned tiles = static_cast<unsigned>((depth + tile - 1) / tile);
    const unsigned block = static_cast<unsigned>(index), pixel = block / tiles;
    const unsigned line = pixel / static_cast<unsigned>(columns);
    column = static_cast<int>(pixel % static_cast<unsigned>(columns));
    row = static_cast<int>(line % static_cast<unsigned>(rows));
    n = static_cast<int>(line / static_cast<unsigned>(rows));
    first = static_cast<int>(block % tiles) * tile;
    channels = depth - first < tile ? depth - first : tile;
  }
  AB_FN int64_t pixel(int rows, int columns, int h, int w) const {
    return (static_cast<int64_t>(n) * rows + h) * columns + w;
  }
};

// A pixel of a window: its channels, and the share of it that counts.
template <class T>
struct Term {
  const T* from;
  float share;
};

// As many as are added to the totals at a time, where each fills pages of memory: (8, 7, 7, 2048)
// to 1 x 1 in fp32, two threads: 26 GB/s, pixel by pixel 20. Shorter ones would be fetched more
// slowly, as several streams of memory in one page.
constexpr int kAtOnce = 7;
template <class T>
struct Terms {
  Term<T> at[kAtOnce];
};

// y[c] = sum over i in [0, count) of term(i).share * term(i).from[c], for channels <= kHostTile. On
// the host a term is found once, not once a channel.
template <class T, class Find>
AB_FN void weighted_sum(const Block& block, int count, int channels, Find term, T* y) {
#if defined(__CUDA_ARCH__)
  for (int c = threadIdx.x; c < channels; c += blockDim.x) {
    float total = 0.0f;
    for (int i = 0; i < count; ++i) total += term(i).share * load(term(i).from[c]);
    store(y + c, total);
  }
  block.sync();
#else
  if (count == 1) {
    const Term<T> only = term(0);
    map(
        block, channels, y, [s = only.share](float x) { return s * x; }, only.from);
    return;
  }
  float totals[kHostTile] = {};
  constexpr int kPage = 4096 / static_cast<int>(sizeof(T));
  const int together = channels < kPage ? 0 : count / kAtOnce;
  for (int i = 0; i < together * kAtOnce; i += kAtOnce) {
    Terms<T> next;
    for (int k = 0; k < kAtOnce; ++k) next.at[k] = term(i + k);
    block.each(channels, [=, total = totals](int64_t c) {
      float sum = total[c];
      unroll(
          [&](auto k) {
            const Term<T>& one = next.at[decltype(k)::value];
            sum += one.share * load(one.from[c]);
          },
          std::make_integer_sequence<int, kAtOnce>{});
      total[c] = sum;
    });
    one_by_one();
  }
  for (int i = together * kAtOnce; i < count; ++i) {
    const Term<T> next = term(i);
    block.each(channels,
               [=, total = totals](int64_t c) { total[c] += next.share * load(next.from[c]); });
    one_by_one();
  }
  block.each(channels, [=, total = totals](int64_t c) { store(y + c, total[c]); });
#endif
}

template <class T>
struct AverageForward {
  Axis vertical, horizontal;
  int depth, tile;
  const T* x;
  T* y;

  AB_FN void operator()(const Block& block) const {
    const Axis v = vertical, u = horizontal;
    const Place at(block.index(), v.out, u.out, depth, tile);
    const int top = v.begin(at.row), left = u.begin(at.column);
    const int down = v.end(at.row) - top, across = u.end(at.column) - left;
    const float share = 1.0f / static_cast<float>(v.size(at.row) * u.size(at.column));
    const int64_t step = depth, line = static_cast<int64_t>(u.in) * depth;
    const T* in = x + at.pixel(v.in, u.in, top, left) * step + at.first;
    weighted_sum(
        block, down * across, at.channels,
        [=](int i) {
          return Term<T>{in + i / across * line + i % across * step, share};
        },
        y + at.pixel(v.out, u.out, at.row, at.column) * step + at.first);
  }
};

template <class T>
struct AverageBackward {
  Axis vertical, horizontal;
  int depth, tile;
  const T* dy;
  T* dx;

  AB_FN void operator()(const Block& block) const {
    const Axis v = vertical, u = horizontal;
    const Place at(block.index(), v.in, u.in, depth, tile);
    const int top = v.first(at.row), left = u.first(at.column);
    const int down = v.last(at.row) - top, across = u.last(at.column) - left;
    const int64_t step = depth, line = static_cast<int64_t>(u.out) * depth;
    const T* in = dy + at.pixel(v.out, u.out, top, left) * step + at.first;
    weighted_sum(
        block, down > 0 && across > 0 ? down * across : 0, at.channels,
        [=](int i) {
          const int r = i / across, s = i % across;
          return Term<T>{in + r * line + s * step,
                         1.0f / static_cast<float>(v.size(top + r) * u.size(left + s))};
        },
        dx + at.pixel(v.in, u.in, at.row, at.column) * step + at.first);
  }
};

Axis axis(int64_t in, int64_t out, const PoolShape& s) {
  return {static_cast<int>(in), static_cast<int>(out), static_cast<int>(s.kernel),
          static_cast<int>(s.stride), static_cast<int>(s.padding)};
}

}  // namespace

PoolShape window_pool(int64_t batch, int64_t height, int64_t width, int64_t channels,
                      int64_t kernel, int64_t stride, int64_t padding) {
  const int64_t smaller = height < width ? height : width;
  if (kernel < 1 || stride < 1 || padding < 0 || 2 * padding > kernel ||
      smaller + 2 * padding < kernel)
    throw std::invalid_argument(
        "pooling window " + std::to_string(kernel) + ", stride " + std::to_string(stride) +
        ", padding " + std::to_string(padding) + " on an image of " + std::to_string(height) +
        " x " + std::to_string(width) +
        ": the window must fit the padded image, the padding half of the window");
  PoolShape shape{batch, height, width, channels, 0, 0, kernel, stride, padding};
  shape.out_height = (height + 2 * padding - kernel) / stride + 1;
  shape.out_width = (width + 2 * padding - kernel) / stride + 1;
  return shape;
}

PoolShape adaptive_pool(int64_t batch, int64_t height, int64_t width, int64_t channels,
                        int64_t out_height, int64_t out_width) {
  if (height < 1 || width < 1 || out_height < 1 || out_width < 1)
    throw std::invalid_argument("adaptive pooling from " + std::to_string(height) + " x " +
                                std::to_string(width) + " to " + std::to_string(out_height) +
                                " x " + std::to_string(out_width) + ": sizes must be positive");
  return {batch, height, width, channels, out_height, out_width, 0, 1, 0};
}

void average_pool_forward(Stream stream, DType dtype, const PoolShape& shape, DevicePtr x,
                          DevicePtr y) {
  const int64_t pixels = shape.batch * shape.out_height * shape.out_width;
  const int tile = tile_of(stream);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(stream, Grid{pixels * ceil_div(shape.channels, tile), kThreads, 0},
           AverageForward<T>{axis(shape.height, shape.out_height, shape),
                             axis(shape.width, shape.out_width, shape),
                             static_cast<int>(shape.channels), tile, x.as<const T>(), y.as<T>()});
  });
}

void average_pool_backward(Stream stream, DType dtype, const PoolShape& shape, DevicePtr dy,
                           DevicePtr dx) {
  const int64_t pixels = shape.batch * shape.height * shape.width;
  const int tile = tile_of(stream);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    launch(
        stream, Grid{pixels * ceil_div(shape.channels, tile), kThreads, 0},
        AverageBackward<T>{axis(shape.height, shape.out_height, shape),
                           axis(shape.width, shape.out_width, shape),
                           static_cast<int>(shape.channels), tile, dy.as<const T>(), dx.as<T>()});
  });
}

}  // namespace ab
