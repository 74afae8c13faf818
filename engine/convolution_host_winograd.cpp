#include "engine/convolution_host_winograd.h"

#include <algorithm>

#include "engine/convolution_host_winograd_rules.h"
#include "engine/onednn.h"

namespace ab::host {
namespace {

constexpr int64_t kPositions = 16;

struct Map {  // NHWC
  int64_t height, width, channels;
  // Offset of the place in the map, -1 outside of it.
  int64_t at(int64_t n, int64_t h, int64_t w) const {
    const bool inside = h >= 0 && h < height && w >= 0 && w < width;
    return inside ? ((n * height + h) * width + w) * channels : -1;
  }
  // Of the places that a square covers.
  template <size_t kEdge>
  std::array<int64_t, kEdge * kEdge> places(int64_t n, int64_t top, int64_t left) const {
    std::array<int64_t, kEdge * kEdge> offsets;
    for (size_t i = 0; i < kEdge * kEdge; ++i)
      offsets[i] =
          at(n, top + static_cast<int64_t>(i / kEdge), left + static_cast<int64_t>(i % kEdge));
    return offsets;
  }
};

// One matrix for each position, of rows x columns. Rows and matrices lie a little further apart
// than they are long, as powers of two would put them into the same lines of the cache.
struct Positions {
  float* data;
  int64_t rows, columns;

  int64_t pitch() const { return columns + 16; }
  int64_t step() const { return rows * pitch() + 16; }
  int64_t size() const { return kPositions * step(); }
  float* matrix(int64_t position) const { return data + position * step(); }

  std::array<Lanes, kPositions> get(int64_t row, int64_t column) const {
    std::array<Lanes, kPositions> values;
    const float* from = data + row * pitch() + column;
    for (Lanes& value : values) value = load(from), from += step();
    return values;
  }
  void put(int64_t row, int64_t column, const std::array<Lanes, kPositions>& values) const {
    float* to = data + row * pitch() + column;
    for (const Lanes& value : values) store(to, value), to += step();
  }
};

// What a convolution of one map into another reads, writes and cuts into tiles.
struct Tiling {
  Map from, to;
  int64_t batch, padding;
  int64_t down() const { return (to.height + 1) / 2; }
  int64_t across() const { return (to.width + 1) / 2; }
  int64_t tiles() const { return batch * down() * across(); }
  struct Corner {
    int64_t n, top, left;  // of the tile's result
  };
  Corner corner(int64_t tile) const {
    const int64_t place = tile % (down() * across());
    return {tile / (down() * across()), place / across() * 2, place % across() * 2};
  }
};

// B^T d B of one tile, to row `row` of every position.
void transform_input(const Tiling& t, const float* from, int64_t tile, const Positions& to,
                     int64_t row) {
  const auto [n, top, left] = t.corner(tile);
  const auto places = t.from.places<4>(n, top - t.padding, left - t.padding);
  for (int64_t c = 0; c < t.from.channels; c += kLanes) {
    std::array<Lanes, 16> d;
    for (size_t i = 0; i < 16; ++i) d[i] = places[i] < 0 ? Lanes{} : load(from + places[i] + c);
    to.put(row, c, both_axes<4, 4>(d, input_rule));
  }
}

// A dY A^T of one tile, to row `row` of every position.
void transform_output_gradient(const Tiling& t, const float* from, int64_t tile,
                               const Positions& to, int64_t row) {
  const auto [n, top, left] = t.corner(tile);
  const auto places = t.to.places<2>(n, top, left);
  for (int64_t c = 0; c < t.to.channels; c += kLanes) {
    std::array<Lanes, 4> y;
    for (size_t i = 0; i < 4; ++i) y[i] = places[i] < 0 ? Lanes{} : load(from + places[i] + c);
    to.put(row, c, both_axes<4, 2>(y, output_gradient_rule));
  }
}

// A^T M A of one tile, with bias and ReLU, to the places of the map.
void transform_output(const Tiling& t, const Positions& from, int64_t row, int64_t tile,
                      const float* bias, bool relu, float* to) {
  const auto [n, top, left] = t.corner(tile);
  const auto places = t.to.places<2>(n, top, left);
  for (int64_t c = 0; c < t.to.channels; c += kLanes) {
    const auto y = both_axes<2, 4>(from.get(row, c), output_rule);
    const Lanes shift = bias ? load(bias + c) : Lanes{};
    for (size_t i = 0; i < 4; ++i) {
      if (places[i] < 0) continue;
      const Lanes value = y[i] + shift;
      store(to + places[i] + c, relu ? (value > 0.0f ? value : Lanes{}) : value);
    }
  }
}

// G g G^T of all filters (out, 3, 3, in) to (out, in) for each position; turned: taps in reverse.
void transform_filters(int64_t outs, int64_t ins, const float* w, bool turned,
                       const Positions& to) {
#pragma omp parallel for schedule(static)
  for (int64_t o = 0; o < outs; ++o)
    for (int64_t c = 0; c < ins; c += kLanes) {
      std::array<Lanes, 9> g;
      for (int64_t i = 0; i < 9; ++i)
        g[static_cast<size_t>(turned ? 8 - i : i)] = load(w + (o * 9 + i) * ins + c);
      to.put(o, c, both_axes<4, 3>(g, filter_rule));
    }
}

int64_t parts(int64_t whole, int64_t most) {
  return (whole + most - 1) / most;
}

// Tiles a thread takes at a time, all threads equally often: their transforms stay in its cache
// while they are multiplied.
int64_t tiles_at_once(const Tiling& t) {
  constexpr int64_t kMost = 128;
  const int64_t rounds = parts(t.tiles(), threads() * kMost);
  return parts(t.tiles(), rounds * threads());
}
int64_t thread_scratch(const Tiling& t) {
  const int64_t tiles = tiles_at_once(t);
  return Positions{nullptr, tiles, t.from.channels}.size() +
         Positions{nullptr, tiles, t.to.channels}.size();
}

// filters: of each position (to, from), or (from, to) where they are not to be transposed.
bool convolve(const Tiling& t, const Positions& filters, bool transposed, const float* from,
              const float* bias, bool relu, float* to, float* scratch) {
  const int64_t at_once = tiles_at_once(t), tiles = t.tiles(), each = thread_scratch(t);
  bool fine = true;
#pragma omp parallel for schedule(static) reduction(&& : fine)
  for (int64_t first = 0; first < tiles; first += at_once) {
    const int64_t count = std::min(at_once, tiles - first);
    float* const mine = scratch + thread() * each;
    const Positions v{mine, at_once, t.from.channels};
    const Positions m{mine + v.size(), at_once, t.to.channels};
    for (int64_t i = 0; i < count; ++i) transform_input(t, from, first + i, v, i);
    for (int64_t p = 0; p < kPositions; ++p)
      fine = sgemm(false, transposed, count, t.to.channels, t.from.channels, 1.0f, v.matrix(p),
                   v.pitch(), filters.matrix(p), filters.pitch(), 0.0f, m.matrix(p), m.pitch()) &&
             fine;
    for (int64_t i = 0; i < count; ++i) transform_output(t, m, i, first + i, bias, relu, to);
  }
  return fine;
}

// Tiles whose transforms the team makes together before it multiplies them: a few megabytes.
int64_t tiles_of_team(const Tiling& t) {
  const int64_t bytes = kPositions * (t.from.channels + t.to.channels) * int64_t{sizeof(float)};
  return std::min(t.tiles(), std::max<int64_t>(128, (int64_t{4} << 20) / bytes));
}

Tiling forward_tiling(const ConvolutionShape& s) {
  return {{s.height, s.width, s.in_channels},
          {s.out_height(), s.out_width(), s.out_channels},
          s.batch,
          s.padding};
}
Tiling data_tiling(const ConvolutionShape& s) {
  const Tiling t = forward_tiling(s);
  return {t.to, t.from, s.batch, 2 - s.padding};
}

}  // namespace

bool Winograd::applies(const ConvolutionShape& s) {
  return s.kernel_h == 3 && s.kernel_w == 3 && s.stride == 1 && s.padding <= 2 &&
         s.in_channels % 8 == 0 && s.out_channels % 8 == 0;
}

int64_t Winograd::product_scratch() const {
  const Tiling forward = forward_tiling(shape_), data = data_tiling(shape_);
  return Positions{nullptr, shape_.out_channels, shape_.in_channels}.size() +
         threads() * std::max(thread_scratch(forward), thread_scratch(data));
}

int64_t Winograd::filter_scratch() const {
  const Tiling t = forward_tiling(shape_);
  const int64_t tiles = tiles_of_team(t), outs = shape_.out_channels, ins = shape_.in_channels;
  return Positions{nullptr, outs, ins}.size() + Positions{nullptr, tiles, ins}.size() +
         Positions{nullptr, tiles, outs}.size();
}

bool Winograd::forward(const float* x, const float* w, const float* bias, bool relu, float* y,
                       float* scratch) const {
  const Positions u{scratch, shape_.out_channels, shape_.in_channels};
  transform_filters(u.rows, u.columns, w, false, u);
  return convolve(forward_tiling(shape_), u, true, x, bias, relu, y, scratch + u.size());
}

bool Winograd::backward_data(const float* dy, const float* w, float* dx, float* scratch) const {
  const Positions u{scratch, shape_.out_channels, shape_.in_channels};
  transform_filters(u.rows, u.columns, w, true, u);
  return convolve(data_tiling(shape_), u, false, dy, nullptr, false, dx, scratch + u.size());
}

bool Winograd::backward_filter(const float* x, const float* dy, float* dw, float* scratch) const {
  const Tiling t = forward_tiling(shape_);
  const int64_t outs = shape_.out_channels, ins = shape_.in_channels;
  const int64_t at_once = tiles_of_team(t), tiles = t.tiles();
  const Positions du{scratch, outs, ins};
  const Positions v{scratch + du.size(), at_once, ins};
  const Positions m{v.data + v.size(), at_once, outs};
  const int64_t shares = parts(threads(), kPositions), share = parts(outs, shares);
  bool fine = true;
#pragma omp parallel reduction(&& : fine)
  {
    for (int64_t first = 0; first < tiles; first += at_once) {
      const int64_t count = std::min(at_once, tiles - first);
#pragma omp for schedule(static)
      for (int64_t i = 0; i < count; ++i) {
        transform_input(t, x, first + i, v, i);
        transform_output_gradient(t, dy, first + i, m, i);
      }
#pragma omp for schedule(static)
      for (int64_t task = 0; task < kPositions * shares; ++task) {
        const int64_t p = task / shares, row = task % shares * share;
        if (row >= outs) continue;
        fine = sgemm(true, false, std::min(share, outs - row), ins, count, 1.0f, m.matrix(p) + row,
                     m.pitch(), v.matrix(p), v.pitch(), first > 0 ? 1.0f : 0.0f,
                     du.matrix(p) + row * du.pitch(), du.pitch()) &&
               fine;
      }
    }
#pragma omp for schedule(static)
    for (int64_t o = 0; o < outs; ++o)
      for (int64_t c = 0; c < ins; c += kLanes) {
        const auto g = both_axes<3, 4>(du.get(o, c), filter_gradient_rule);
        for (int64_t i = 0; i < 9; ++i)
          store(dw + (o * 9 + i) * ins + c, g[static_cast<size_t>(i)]);
      }
  }
  return fine;
}

}  // namespace ab::host
