// Max pooling, NHWC: y[n,p,q,c] = max over r, s of x[n, p*stride + r - padding, q*stride + s -
// padding, c]. Places outside the image are clamped onto its border: the window holds the border
// pixel anyway, so the maximum is the same and the loop has no branch. Forward keeps the winner as
// one byte, so that backward compares instead of searching again. Bytes: forward reads x, writes y
// and the bytes; backward reads dy and the bytes, writes dx.
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/launch.h"
#include "kernels/pooling.h"
#include "kernels/rows.h"

namespace ab {
namespace {

AB_FN int64_t clamped(int64_t i, int64_t extent) {
  return i < 0 ? 0 : (i < extent ? i : extent - 1);
}

// Where one candidate of a pixel lies, and which place of the window that is (-1: of none).
struct Candidate {
  int64_t offset;
  int place;
};

template <int kSide>
struct Candidates {
  Candidate at[kSide * kSide];
};

// Larger wins, the earlier of equals stays, NaN stays for good.
AB_FN void consider(float& best, int& tap, float value, int place, bool first) {
  const bool wins = first | (value > best) | (value != value);
  best = wins ? value : best;
  tap = wins ? place : tap;
}

// kSide: the window's side, where its loops are to be unrolled; 0: read from the shape.
template <class T, int kSide, bool kKeep>
struct MaxForward {
  PoolShape shape;
  const T* x;
  T* y;
  uint8_t* taps;

  AB_FN static Candidate candidate(const PoolShape& s, int64_t p, int64_t q, int t) {
    const int side = kSide > 0 ? kSide : static_cast<int>(s.kernel);
    const int64_t top = p * s.stride - s.padding, left = q * s.stride - s.padding;
    const int64_t h = clamped(top + t / side, s.height), w = clamped(left + t % side, s.width);
    return {(h * s.width + w) * s.channels, static_cast<int>((h - top) * side + w - left)};
  }

  // One row of outputs per block.
  AB_FN void operator()(const Block& block) const {
    const PoolShape s = shape;
    const int64_t n = block.index() / s.out_height, p = block.index() % s.out_height;
    const int64_t first = block.index() * s.out_width * s.channels, channels = s.channels;
    const T* image = x + n * s.height * s.width * channels;
    T* out = y + first;
    uint8_t* winner = kKeep ? taps + first : nullptr;
    const auto finish = [=](int64_t q, int64_t c, float best, int tap) {
      store(&out[q * channels + c], best);
      if constexpr (kKeep) winner[q * channels + c] = static_cast<uint8_t>(tap);
    };
    if constexpr (kSide > 0) {
      each_row(
          block, 0, s.out_width, channels,
          [=](int64_t q) {
            Candidates<kSide> candidates;
            for (int t = 0; t < kSide * kSide; ++t) candidates.at[t] = candidate(s, p, q, t);
            return candidates;
          },
          [=](const Candidates<kSide>& candidates, int64_t q, int64_t c) {
            float best = 0.0f;
            int tap = 0;
            unroll(
                [&](auto t) {
                  const Candidate& from = candidates.at[decltype(t)::value];
                  consider(best, tap, load(image[from.offset + c]), from.place,
                           decltype(t)::value == 0);
                },
                std::make_integer_sequence<int, kSide * kSide>{});
            finish(q, c, best, tap);
          });
    } else {
      each_row(block, 0, s.out_width, channels, [=](int64_t q, int64_t c) {
        float best = 0.0f;
        int tap = 0;
        for (int t = 0; t < s.kernel * s.kernel; ++t) {
          const Candidate from = candidate(s, p, q, t);
          consider(best, tap, load(image[from.offset + c]), from.place, t == 0);
        }
        finish(q, c, best, tap);
      });
    }
  }
};

// kReach: windows that can cover a pixel along one axis, ceil(kernel / stride); 0: at run time.
template <class T, int kReach>
struct MaxBackward {
  PoolShape shape;
  const uint8_t* taps;
  const T* dy;
  T* dx;

  // below = h + padding, p_last = below / stride: the last window that can hold row h; likewise
  // right.
  AB_FN static Candidate candidate(const PoolShape& s, int64_t below, int64_t p_last, int64_t right,
                                   int64_t q_last, int t) {
    const int reach = kReach > 0 ? kReach : static_cast<int>((s.kernel + s.stride - 1) / s.stride);
    const int64_t p = p_last - reach + 1 + t / reach, q = q_last - reach + 1 + t % reach;
    const int64_t row = below - p * s.stride, column = right - q * s.stride;
    const bool covers = p >= 0 && p < s.out_height && q >= 0 && q < s.out_width && row < s.kernel &&
                        column < s.kernel;
    return {(clamped(p, s.out_height) * s.out_width + clamped(q, s.out_width)) * s.channels,
            covers ? static_cast<int>(row * s.kernel + column) : -1};
  }

  // One row of inputs per block.
  AB_FN void operator()(const Block& block) const {
    const PoolShape s = shape;
    const int64_t n = block.index() / s.height, h = block.index() % s.height;
    const int64_t first = n * s.out_height * s.out_width * s.channels, channels = s.channels;
    const uint8_t* winner = taps + first;
    const T* in = dy + first;
    T* out = dx + block.index() * s.width * channels;
    const int64_t below = h + s.padding, p_last = below / s.stride;
    const auto share = [=](const Candidate& from, int64_t c) {
      const float gradient = load(in[from.offset + c]);
      return winner[from.offset + c] == from.place ? gradient : 0.0f;
    };
    if constexpr (kReach > 0) {
      each_row(
          block, 0, s.width, channels,
          [=](int64_t w) {
            Candidates<kReach> candidates;
            const int64_t right = w + s.padding, q_last = right / s.stride;
            for (int t = 0; t < kReach * kReach; ++t)
              candidates.at[t] = candidate(s, below, p_last, right, q_last, t);
            return candidates;
          },
          [=](const Candidates<kReach>& candidates, int64_t w, int64_t c) {
            float total = 0.0f;
            unroll([&](auto t) { total += share(candidates.at[decltype(t)::value], c); },
                   std::make_integer_sequence<int, kReach * kReach>{});
            store(&out[w * channels + c], total);
          });
    } else {
      const int reach = static_cast<int>((s.kernel + s.stride - 1) / s.stride);
      each_row(block, 0, s.width, channels, [=](int64_t w, int64_t c) {
        float total = 0.0f;
        const int64_t right = w + s.padding, q_last = right / s.stride;
        for (int t = 0; t < reach * reach; ++t)
          total += share(candidate(s, below, p_last, right, q_last, t), c);
        store(&out[w * channels + c], total);
      });
    }
  }
};

template <int kValue>
using Constant = std::integral_constant<int, kValue>;

// f(value as a constant) for the sizes that networks use, f(0) for the others.
template <class F>
void choose_size(int64_t value, F f) {
  if (value == 1)
    f(Constant<1>{});
  else if (value == 2)
    f(Constant<2>{});
  else if (value == 3)
    f(Constant<3>{});
  else
    f(Constant<0>{});
}

void check_window(const PoolShape& shape) {
  if (shape.kernel < 1 || shape.kernel > 16)
    throw std::invalid_argument("max pooling takes windows from 1 to 16, not " +
                                std::to_string(shape.kernel));
}

}  // namespace

void max_pool_forward(Stream stream, DType dtype, const PoolShape& shape, DevicePtr x, DevicePtr y,
                      DevicePtr taps) {
  check_window(shape);
  const Grid grid{shape.batch * shape.out_height, 256, 0};
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    choose_size(shape.kernel, [&](auto size) {
      constexpr int kSide = decltype(size)::value;
      if (taps)
        launch(stream, grid,
               MaxForward<T, kSide, true>{shape, x.as<const T>(), y.as<T>(), taps.as<uint8_t>()});
      else
        launch(stream, grid,
               MaxForward<T, kSide, false>{shape, x.as<const T>(), y.as<T>(), nullptr});
    });
  });
}

void max_pool_backward(Stream stream, DType dtype, const PoolShape& shape, DevicePtr taps,
                       DevicePtr dy, DevicePtr dx) {
  check_window(shape);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    choose_size(ceil_div(shape.kernel, shape.stride), [&](auto reach) {
      launch(stream, Grid{shape.batch * shape.height, 256, 0},
             MaxBackward<T, decltype(reach)::value>{shape, taps.as<const uint8_t>(),
                                                    dy.as<const T>(), dx.as<T>()});
    });
  });
}

}  // namespace ab
