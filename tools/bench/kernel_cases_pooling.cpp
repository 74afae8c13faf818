// Case rows of kernels/pooling.h. The references loop over windows as the definitions are written
// and scatter in backward, where the kernels gather.
#include <algorithm>

#include "kernels/pooling.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

enum class Pool { kMax, kAverage };

// Inputs [first, last) that output o covers along one axis.
struct Range {
  int64_t first, last;
};

Range covered(const PoolShape& s, int64_t in, int64_t out, int64_t o) {
  if (s.kernel == 0) return {o * in / out, ((o + 1) * in + out - 1) / out};
  const int64_t start = o * s.stride - s.padding;
  return {std::max<int64_t>(start, 0), std::min(start + s.kernel, in)};
}

// f(output index, input index, share) for every pair of a window, in row order.
template <class F>
void for_each_pair(const PoolShape& s, F f) {
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t p = 0; p < s.out_height; ++p)
      for (int64_t q = 0; q < s.out_width; ++q) {
        const Range rows = covered(s, s.height, s.out_height, p);
        const Range cols = covered(s, s.width, s.out_width, q);
        const int64_t size =
            s.kernel ? s.kernel * s.kernel : (rows.last - rows.first) * (cols.last - cols.first);
        for (int64_t h = rows.first; h < rows.last; ++h)
          for (int64_t w = cols.first; w < cols.last; ++w)
            for (int64_t c = 0; c < s.channels; ++c)
              f(((n * s.out_height + p) * s.out_width + q) * s.channels + c,
                ((n * s.height + h) * s.width + w) * s.channels + c,
                1.0 / static_cast<double>(size));
      }
}

int64_t in_elements(const PoolShape& s) {
  return s.batch * s.height * s.width * s.channels;
}
int64_t out_elements(const PoolShape& s) {
  return s.batch * s.out_height * s.out_width * s.channels;
}

// Index into x of every output's maximum, the first of equals.
std::vector<int64_t> winners(const PoolShape& s, const std::vector<double>& x) {
  std::vector<int64_t> best(out_elements(s), -1);
  for_each_pair(s, [&](int64_t o, int64_t i, double) {
    if (best[o] < 0 || x[i] > x[best[o]]) best[o] = i;
  });
  return best;
}

std::vector<double> pooled(const PoolShape& s, Pool pool, const std::vector<double>& x) {
  std::vector<double> y(out_elements(s), 0.0);
  if (pool == Pool::kMax) {
    const std::vector<int64_t> best = winners(s, x);
    for (size_t o = 0; o < y.size(); ++o) y[o] = x[best[o]];
  } else {
    for_each_pair(s, [&](int64_t o, int64_t i, double share) { y[o] += share * x[i]; });
  }
  return y;
}

std::string text_of(const PoolShape& s) {
  std::string text = std::string("(") + std::to_string(s.batch) + ", " + std::to_string(s.height) +
                     ", " + std::to_string(s.width) + ", " + std::to_string(s.channels) + ")";
  if (s.kernel == 0)
    return text + " to " + std::to_string(s.out_height) + "x" + std::to_string(s.out_width);
  return text + " k" + std::to_string(s.kernel) + " s" + std::to_string(s.stride) + " p" +
         std::to_string(s.padding);
}

KernelCase named(const std::string& pass, Pool pool, const PoolShape& s, DType t, bool benchmark) {
  KernelCase c;
  c.kernel = (pool == Pool::kMax ? "max_pool_" : "average_pool_") + pass;
  c.shape = text_of(s);
  c.dtype = t;
  c.bytes = static_cast<double>(in_elements(s) + out_elements(s)) * size_of(t) +
            (pool == Pool::kMax ? out_elements(s) : 0);
  c.benchmark = benchmark;
  return c;
}

KernelCase forward_row(Pool pool, const PoolShape& s, DType t, bool benchmark) {
  KernelCase c = named("forward", pool, s, t, benchmark);
  const int64_t terms = std::max<int64_t>(1, in_elements(s) / out_elements(s));
  c.buffers = {input("x", in_elements(s), t), output("y", out_elements(s), t, terms),
               input("taps", out_elements(s), DType::kUint8, Fill::kZero)};
  c.run = [=](Stream stream, CasePointers p) {
    if (pool == Pool::kMax)
      max_pool_forward(stream, t, s, p[0], p[1], p[2]);
    else
      average_pool_forward(stream, t, s, p[0], p[1]);
  };
  c.reference = [=](CaseValues& v) { v[1] = pooled(s, pool, v[0]); };
  return c;
}

// Buffers: x, dy, dx, y, taps. Max runs its forward first: the bytes it leaves are its own
// business.
KernelCase backward_row(Pool pool, const PoolShape& s, DType t, bool benchmark) {
  KernelCase c = named("backward", pool, s, t, benchmark);
  const int64_t terms = std::max<int64_t>(1, out_elements(s) / in_elements(s)) + 8;
  c.buffers = {input("x", in_elements(s), t), input("dy", out_elements(s), t),
               output("dx", in_elements(s), t, terms), input("y", out_elements(s), t, Fill::kZero),
               input("taps", out_elements(s), DType::kUint8, Fill::kZero)};
  c.run = [=](Stream stream, CasePointers p) {
    if (pool == Pool::kMax) {
      max_pool_forward(stream, t, s, p[0], p[3], p[4]);
      max_pool_backward(stream, t, s, p[4], p[1], p[2]);
    } else {
      average_pool_backward(stream, t, s, p[1], p[2]);
    }
  };
  if (pool == Pool::kMax) c.bytes *= 2.0;
  c.reference = [=](CaseValues& v) {
    std::fill(v[2].begin(), v[2].end(), 0.0);
    if (pool == Pool::kMax) {
      const std::vector<int64_t> best = winners(s, v[0]);
      for (size_t o = 0; o < best.size(); ++o) v[2][best[o]] += v[1][o];
    } else {
      for_each_pair(s, [&](int64_t o, int64_t i, double share) { v[2][i] += share * v[1][o]; });
    }
  };
  if (benchmark) return c;
  c.loss = [=](const CaseValues& v) {
    const std::vector<double> y = pooled(s, pool, v[0]);
    double loss = 0.0;
    for (size_t o = 0; o < y.size(); ++o) loss += v[1][o] * y[o];
    return loss;
  };
  c.gradients = {{2, 0}};
  return c;
}

}  // namespace

void add_pooling_cases(CaseList& cases) {
  // Windows: 1x1, those of ResNet and VGG on odd sizes, overlapping by two, gaps, an
  // unrolled-by-no-one size, and one channel past a tile.
  const PoolShape windows[] = {
      window_pool(1, 1, 1, 1, 1, 1, 0),   window_pool(2, 7, 9, 5, 3, 2, 1),
      window_pool(2, 8, 6, 65, 2, 2, 0),  window_pool(1, 5, 7, 3, 3, 1, 1),
      window_pool(1, 9, 7, 17, 2, 3, 0),  window_pool(1, 11, 8, 3, 5, 1, 2),
      window_pool(1, 6, 6, 257, 3, 3, 0), window_pool(1, 13, 5, 2, 4, 3, 2)};
  const PoolShape bins[] = {adaptive_pool(1, 1, 1, 1, 1, 1),   adaptive_pool(2, 1, 1, 65, 7, 7),
                            adaptive_pool(2, 7, 7, 257, 1, 1), adaptive_pool(1, 5, 7, 3, 3, 4),
                            adaptive_pool(1, 3, 2, 5, 7, 5),   adaptive_pool(2, 4, 6, 31, 2, 3),
                            adaptive_pool(1, 3, 5, 2051, 1, 1)};  // pixels above a page, a tile
  const auto add = [&](Pool pool, const PoolShape& s, DType t, bool benchmark) {
    cases.push_back(forward_row(pool, s, t, benchmark));
    cases.push_back(backward_row(pool, s, t, benchmark));
  };
  for (const DType dtype : kActivationTypes) {
    for (const PoolShape& s : windows)
      for (const Pool pool : {Pool::kMax, Pool::kAverage}) add(pool, s, dtype, false);
    for (const PoolShape& s : bins) add(Pool::kAverage, s, dtype, false);
    add(Pool::kMax, window_pool(2, 112, 112, 64, 3, 2, 1), dtype, true);
    add(Pool::kMax, window_pool(8, 32, 32, 64, 2, 2, 0), dtype, true);
    add(Pool::kAverage, adaptive_pool(8, 7, 7, 2048, 1, 1), dtype, true);
    add(Pool::kAverage, adaptive_pool(64, 1, 1, 512, 7, 7), dtype, true);
  }
}

}  // namespace ab
