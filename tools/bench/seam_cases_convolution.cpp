// Rows of the convolution seam, NHWC. Filters are (out, kernel_h, kernel_w, in).
#include <algorithm>

#include "tools/bench/seam_case.h"

namespace ab {
namespace {

using Pass = ConvolutionPass;

// One image's pixel (h, w) of a map; below 0 where it lies in the padding.
int64_t pixel(int64_t n, int64_t h, int64_t w, int64_t height, int64_t width, int64_t channels) {
  if (h < 0 || h >= height || w < 0 || w >= width) return -1;
  return ((n * height + h) * width + w) * channels;
}

struct Geometry {
  ConvolutionShape s;

  int64_t x(int64_t n, int64_t h, int64_t w) const {
    return pixel(n, h, w, s.height, s.width, s.in_channels);
  }
  int64_t y(int64_t n, int64_t p, int64_t q) const {
    return pixel(n, p, q, s.out_height(), s.out_width(), s.out_channels);
  }
  int64_t w(int64_t o, int64_t r, int64_t t) const {
    return ((o * s.kernel_h + r) * s.kernel_w + t) * s.in_channels;
  }
};

// v: x, w, (bias,) y.
Sum forward_at(const Geometry& g, const SeamValues& v, int64_t index) {
  const ConvolutionShape& s = g.s;
  const int64_t o = index % s.out_channels, q = index / s.out_channels % s.out_width();
  const int64_t row = index / (s.out_channels * s.out_width());
  const int64_t p = row % s.out_height(), n = row / s.out_height();
  Sum sum;
  for (int64_t r = 0; r < s.kernel_h; ++r)
    for (int64_t t = 0; t < s.kernel_w; ++t) {
      const int64_t from = g.x(n, p * s.stride + r - s.padding, q * s.stride + t - s.padding);
      if (from < 0) continue;
      for (int64_t i = 0; i < s.in_channels; ++i)
        sum.add(static_cast<double>(v[0][from + i]) * v[1][g.w(o, r, t) + i]);
    }
  return sum;
}

// v: dy, w, dx.
Sum data_at(const Geometry& g, const SeamValues& v, int64_t index) {
  const ConvolutionShape& s = g.s;
  const int64_t i = index % s.in_channels, column = index / s.in_channels % s.width;
  const int64_t row = index / (s.in_channels * s.width), h = row % s.height, n = row / s.height;
  Sum sum;
  for (int64_t r = 0; r < s.kernel_h; ++r)
    for (int64_t t = 0; t < s.kernel_w; ++t) {
      const int64_t p = h + s.padding - r, q = column + s.padding - t;
      if (p % s.stride != 0 || q % s.stride != 0) continue;
      const int64_t from = g.y(n, p / s.stride, q / s.stride);
      if (from < 0 || p < 0 || q < 0) continue;
      for (int64_t o = 0; o < s.out_channels; ++o)
        sum.add(static_cast<double>(v[0][from + o]) * v[1][g.w(o, r, t) + i]);
    }
  return sum;
}

// v: x, dy, dw.
Sum filter_at(const Geometry& g, const SeamValues& v, int64_t index) {
  const ConvolutionShape& s = g.s;
  const int64_t i = index % s.in_channels, tap = index / s.in_channels;
  const int64_t t = tap % s.kernel_w, r = tap / s.kernel_w % s.kernel_h;
  const int64_t o = tap / (s.kernel_w * s.kernel_h);
  Sum sum;
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t p = 0; p < s.out_height(); ++p)
      for (int64_t q = 0; q < s.out_width(); ++q) {
        const int64_t from = g.x(n, p * s.stride + r - s.padding, q * s.stride + t - s.padding);
        if (from >= 0) sum.add(static_cast<double>(v[0][from + i]) * v[1][g.y(n, p, q) + o]);
      }
  return sum;
}

SeamElement reference(const Geometry& g, Pass pass, const SeamValues& v, int64_t index) {
  SeamElement e{index, {}};
  if (pass == Pass::kData) {
    e.sum = data_at(g, v, index);
  } else if (pass == Pass::kFilter) {
    e.sum = filter_at(g, v, index);
    e.sum.stored = e.sum.value;
  } else {
    e.sum = forward_at(g, v, index);
    if (pass == Pass::kForward) return e;
    e.sum.stored = e.sum.value;
    e.sum.add(v[2][index % g.s.out_channels]);
    e.sum.value = std::max(0.0, e.sum.value);
  }
  return e;
}

void run(const ConvolutionShape& s, DType dtype, Pass pass, Device& device, Arena& arena,
         std::span<const DevicePtr> p) {
  Convolution& seam = device.convolution();
  if (pass == Pass::kData)
    seam.backward_data(device.stream(), arena, s, dtype, p[0], p[1], p[2]);
  else if (pass == Pass::kFilter)
    seam.backward_filter(device.stream(), arena, s, dtype, p[0], p[1], p[2]);
  else
    seam.forward(device.stream(), arena, s, dtype, p[0], p[1],
                 pass == Pass::kForward ? DevicePtr() : p[2], pass != Pass::kForward, p.back());
}

std::string shape_text(const ConvolutionShape& s) {
  return std::to_string(s.batch) + "x" + std::to_string(s.height) + "x" + std::to_string(s.width) +
         "x" + std::to_string(s.in_channels) + " " + std::to_string(s.kernel_h) + "x" +
         std::to_string(s.kernel_w) + "/" + std::to_string(s.stride) + " " +
         std::to_string(s.out_channels);
}

}  // namespace

SeamCase convolution_case(const ConvolutionShape& s, DType dtype, ConvolutionPass pass) {
  constexpr const char* kNames[] = {"convolution_forward", "convolution_bias_relu",
                                    "convolution_data", "convolution_filter"};
  const SeamBuffer x{s.batch * s.height * s.width * s.in_channels, dtype};
  const SeamBuffer y{s.batch * s.out_height() * s.out_width() * s.out_channels, dtype};
  const SeamBuffer w{s.out_channels * s.kernel_h * s.kernel_w * s.in_channels, dtype};
  const SeamBuffer bias{s.out_channels, DType::kFloat32}, dw{w.elements, DType::kFloat32};
  std::vector<SeamBuffer> buffers;
  if (pass == Pass::kForward) buffers = {x, w, y};
  if (pass == Pass::kForwardBiasRelu) buffers = {x, w, bias, y};
  if (pass == Pass::kData) buffers = {y, w, x};
  if (pass == Pass::kFilter) buffers = {x, y, dw};
  SeamCase c = seam_case(kNames[static_cast<int>(pass)], shape_text(s), dtype, std::move(buffers));
  c.flops = s.flops();
  c.results = c.buffers.back().elements;
  c.terms = pass == Pass::kFilter ? s.batch * s.out_height() * s.out_width()
            : pass == Pass::kData ? s.kernel_h * s.kernel_w * s.out_channels
                                  : s.kernel_h * s.kernel_w * s.in_channels + 1;
  c.run = [s, dtype, pass](Device& device, Arena& arena, std::span<const DevicePtr> p) {
    ab::run(s, dtype, pass, device, arena, p);
  };
  c.element = [g = Geometry{s}, pass](const SeamValues& v, int64_t index) {
    return reference(g, pass, v, index);
  };
  return c;
}

}  // namespace ab
