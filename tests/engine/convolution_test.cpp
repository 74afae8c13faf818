// Convolutions against plain loops in float64: strides, padding, kernels from 1 x 1 to 7 x 7, odd
// and few channels, the blocked small maps, and kernels that cover their map.
#include "engine/convolution.h"

#include <algorithm>
#include <stdexcept>

#include "engine/error.h"
#include "tests/engine/seam_reference.h"

namespace ab::test {
namespace {

// Calls f(image, out row, out column, out channel, in row, in column, tap row, tap column) for
// every pair of positions that a filter tap connects.
template <class F>
void each_tap(const ConvolutionShape& s, F f) {
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t p = 0; p < s.out_height(); ++p)
      for (int64_t q = 0; q < s.out_width(); ++q)
        for (int64_t r = 0; r < s.kernel_h; ++r)
          for (int64_t t = 0; t < s.kernel_w; ++t) {
            const int64_t h = p * s.stride + r - s.padding, w = q * s.stride + t - s.padding;
            if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
            const int64_t x = ((n * s.height + h) * s.width + w) * s.in_channels;
            const int64_t y = ((n * s.out_height() + p) * s.out_width() + q) * s.out_channels;
            f(x, (r * s.kernel_w + t) * s.in_channels, y);
          }
}

struct Data {
  Data(const ConvolutionShape& s, DType type)
      : shape(s),
        dtype(type),
        filter(s.kernel_h * s.kernel_w * s.in_channels),
        x(numbers(s.batch * s.height * s.width * s.in_channels, 1, type)),
        w(numbers(s.out_channels * filter, 2, type)),
        dy(numbers(s.batch * s.out_height() * s.out_width() * s.out_channels, 3, type)),
        bias(numbers(s.out_channels, 4)) {}

  ConvolutionShape shape;
  DType dtype;
  int64_t filter;  // elements of one output channel's filter
  std::vector<float> x, w, dy, bias;
};

struct Outcome {
  std::vector<float> values;
  // The seam noted that the library refused the whole: what the convolution alone computes is
  // stored in the operands' type, and another kernel finishes it.
  bool in_parts = false;
};

// Runs twice, demands equal bits, returns the result.
template <class F>
Outcome twice(Rig& rig, size_t count, DType dtype, F run) {
  const size_t noted = rig.device->convolution().notes().size();
  std::vector<float> results[2];
  for (auto& result : results) {
    const Buffer out = upload(rig, std::vector<float>(count, std::nanf("")), dtype);
    run(out.data());
    rig.arena.end_step();
    result = download(rig, out.data(), count, dtype);
  }
  CHECK(same_bits(results[0], results[1]));
  return {results[0], rig.device->convolution().notes().size() > noted};
}

double forward_error(Rig& rig, const Data& d, bool with_bias, bool relu) {
  const ConvolutionShape& s = d.shape;
  const Buffer x = upload(rig, d.x, d.dtype), w = upload(rig, d.w, d.dtype);
  const Buffer bias = upload(rig, d.bias);
  const auto [y, in_parts] = twice(rig, d.dy.size(), d.dtype, [&](DevicePtr out) {
    rig.device->convolution().forward(rig.stream, rig.arena, s, d.dtype, x.data(), w.data(),
                                      with_bias ? bias.data() : DevicePtr(), relu, out);
  });
  std::vector<Sum> expected(y.size());
  if (with_bias)
    for (size_t i = 0; i < y.size(); ++i) expected[i].add(d.bias[i % s.out_channels]);
  each_tap(s, [&](int64_t from, int64_t tap, int64_t to) {
    for (int64_t o = 0; o < s.out_channels; ++o)
      for (int64_t i = 0; i < s.in_channels; ++i)
        expected[to + o].add(static_cast<double>(d.x[from + i]) * d.w[o * d.filter + tap + i]);
  });
  if (with_bias && in_parts && d.dtype == DType::kBFloat16)
    for (size_t i = 0; i < y.size(); ++i)
      expected[i].stored = expected[i].value - d.bias[i % s.out_channels];
  if (relu)
    for (Sum& sum : expected) sum.value = std::max(0.0, sum.value);
  return worst(y, expected, d.filter + 1, d.dtype);
}

double data_error(Rig& rig, const Data& d) {
  const ConvolutionShape& s = d.shape;
  const Buffer dy = upload(rig, d.dy, d.dtype), w = upload(rig, d.w, d.dtype);
  const auto run = [&](DevicePtr out) {
    rig.device->convolution().backward_data(rig.stream, rig.arena, s, d.dtype, dy.data(), w.data(),
                                            out);
  };
  const auto dx = twice(rig, d.x.size(), d.dtype, run).values;
  std::vector<Sum> expected(dx.size());
  each_tap(s, [&](int64_t from, int64_t tap, int64_t to) {
    for (int64_t o = 0; o < s.out_channels; ++o)
      for (int64_t i = 0; i < s.in_channels; ++i)
        expected[from + i].add(static_cast<double>(d.dy[to + o]) * d.w[o * d.filter + tap + i]);
  });
  return worst(dx, expected, s.kernel_h * s.kernel_w * s.out_channels, d.dtype);
}

double filter_error(Rig& rig, const Data& d) {
  const ConvolutionShape& s = d.shape;
  const Buffer x = upload(rig, d.x, d.dtype), dy = upload(rig, d.dy, d.dtype);
  const auto [dw, in_parts] = twice(rig, d.w.size(), DType::kFloat32, [&](DevicePtr out) {
    rig.device->convolution().backward_filter(rig.stream, rig.arena, s, d.dtype, x.data(),
                                              dy.data(), out);
  });
  std::vector<Sum> expected(dw.size());
  each_tap(s, [&](int64_t from, int64_t tap, int64_t to) {
    for (int64_t o = 0; o < s.out_channels; ++o)
      for (int64_t i = 0; i < s.in_channels; ++i)
        expected[o * d.filter + tap + i].add(static_cast<double>(d.x[from + i]) * d.dy[to + o]);
  });
  if (in_parts)  // only with bf16 operands
    for (Sum& sum : expected) sum.stored = sum.value;
  return worst(dw, expected, s.batch * s.out_height() * s.out_width(), DType::kFloat32);
}

void check_all(const ConvolutionShape& s) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    INFO(name_of(dtype) << " batch " << s.batch << " map " << s.height << "x" << s.width
                        << " channels " << s.in_channels << " -> " << s.out_channels << " kernel "
                        << s.kernel_h << "x" << s.kernel_w << " stride " << s.stride << " padding "
                        << s.padding);
    Rig rig;
    const Data data(s, dtype);
    CHECK(forward_error(rig, data, false, false) <= 1.0);
    CHECK(forward_error(rig, data, true, false) <= 1.0);
    CHECK(forward_error(rig, data, true, true) <= 1.0);
    CHECK(data_error(rig, data) <= 1.0);
    CHECK(filter_error(rig, data) <= 1.0);
    CHECK(rig.device->flops == 10 * s.flops());
  }
}

TEST_CASE("convolution: known values", "[convolution]") {
  // One row (1 2 3), kernel (1 10) across it, padding 0: 1 + 20 = 21, 2 + 30 = 32; bias 0.5.
  Rig rig;
  const ConvolutionShape s{1, 1, 3, 1, 1, 1, 2, 1, 0};
  const Buffer x = upload(rig, {1, 2, 3}), w = upload(rig, {1, 10}), bias = upload(rig, {0.5f});
  const Buffer y = upload(rig, {0, 0});
  rig.device->convolution().forward(rig.stream, rig.arena, s, DType::kFloat32, x.data(), w.data(),
                                    bias.data(), false, y.data());
  CHECK(download(rig, y.data(), 2) == std::vector<float>{21.5f, 32.5f});
  // dy = (1 2): dx = (1, 1*10 + 2*1, 2*10) = (1 12 20); dw = (1*1 + 2*2, 1*2 + 2*3) = (5 8).
  const Buffer dy = upload(rig, {1, 2}), dx = upload(rig, {0, 0, 0}), dw = upload(rig, {0, 0});
  rig.device->convolution().backward_data(rig.stream, rig.arena, s, DType::kFloat32, dy.data(),
                                          w.data(), dx.data());
  CHECK(download(rig, dx.data(), 3) == std::vector<float>{1, 12, 20});
  rig.device->convolution().backward_filter(rig.stream, rig.arena, s, DType::kFloat32, x.data(),
                                            dy.data(), dw.data());
  CHECK(download(rig, dw.data(), 2) == std::vector<float>{5, 8});
}

TEST_CASE("convolution: plain maps agree with float64", "[convolution]") {
  check_all({1, 1, 1, 1, 1, 1, 1, 1, 0});
  check_all({2, 9, 7, 3, 8, 3, 3, 1, 1});     // the first layer of VGG
  check_all({2, 17, 19, 3, 16, 7, 7, 2, 3});  // the stem of ResNet
  check_all({2, 8, 8, 3, 24, 4, 4, 4, 0});    // patches
  check_all({3, 5, 6, 16, 32, 1, 1, 1, 0});
  check_all({3, 7, 7, 32, 16, 1, 1, 2, 0});
  check_all({12, 4, 4, 6, 13, 1, 1, 2, 0});  // no whole vectors of channels
  check_all({2, 6, 5, 17, 13, 3, 3, 1, 1});
  check_all({2, 6, 6, 48, 16, 3, 3, 2, 1});
  check_all({2, 5, 5, 7, 11, 5, 3, 1, 2});
}

TEST_CASE("convolution: 3 x 3 filters over many channels agree with float64", "[convolution]") {
  // Tiles of 2 x 2 places on the host (Winograd): odd and even maps, all paddings, channels that
  // are a multiple of eight or not, more tiles than a thread takes at once.
  for (const int64_t padding : {0, 1, 2}) check_all({2, 7, 6, 40, 32, 3, 3, 1, padding});
  check_all({3, 2, 5, 32, 48, 3, 3, 1, 1});
  check_all({2, 3, 3, 32, 32, 3, 3, 1, 1});
  check_all({2, 5, 8, 36, 40, 3, 3, 1, 1});
  check_all({5, 16, 17, 32, 32, 3, 3, 1, 1});
  check_all({1, 4, 4, 520, 32, 3, 3, 1, 1});
  check_all({1, 3, 5, 32, 40, 3, 3, 1, 0});
}

TEST_CASE("convolution: small maps and covered maps agree with float64", "[convolution]") {
  check_all({3, 4, 4, 32, 16, 3, 3, 1, 1});
  check_all({2, 2, 2, 64, 48, 3, 3, 1, 1});
  check_all({2, 4, 4, 512, 16, 3, 3, 1, 1});
  check_all({5, 3, 2, 5, 7, 3, 2, 1, 0});  // a head: the kernel covers the map
  check_all({17, 1, 1, 65, 33, 1, 1, 1, 0});
}

TEST_CASE("convolution: maps smaller than the kernel agree with float64", "[convolution]") {
  // What a ResNet's last stages see of small images: taps that touch nothing but padding.
  for (const int64_t side : {1, 2, 3})
    for (const int64_t stride : {1, 2})
      for (const int64_t in : {4, 16, 32})
        for (const int64_t out : {8, 32}) check_all({4, side, side, in, out, 3, 3, stride, 1});
}

TEST_CASE("convolution: a repeated step takes no memory, a dry one touches none", "[convolution]") {
  const ConvolutionShape s{2, 4, 4, 32, 32, 3, 3, 1, 1};
  for (const DeviceKind kind : {DeviceKind::kHost, DeviceKind::kDry}) {
    Rig rig(kind);
    const auto step = [&] {
      const Tensor x(rig.arena, {2, 4, 4, 32}, DType::kFloat32);
      const Tensor w(rig.arena, {32, 3, 3, 32}, DType::kFloat32);
      Tensor y(rig.arena, {2, 4, 4, 32}, DType::kFloat32);
      rig.device->runtime().zero(rig.stream, x.data(), x.bytes());
      rig.device->runtime().zero(rig.stream, w.data(), w.bytes());
      Convolution& convolution = rig.device->convolution();
      convolution.forward(rig.stream, rig.arena, s, DType::kFloat32, x.data(), w.data(),
                          DevicePtr(), true, y.data());
      convolution.backward_data(rig.stream, rig.arena, s, DType::kFloat32, y.data(), w.data(),
                                x.data());
      convolution.backward_filter(rig.stream, rig.arena, s, DType::kFloat32, x.data(), y.data(),
                                  w.data());
    };
    step();
    rig.arena.end_step();
    const int64_t before = rig.device->memory().allocations;
    step();
    rig.arena.end_step();
    CHECK(rig.device->memory().allocations == before);
    CHECK(rig.device->flops == 6 * s.flops());
  }
}

TEST_CASE("convolution: a kernel larger than its padded map is refused", "[convolution]") {
  Rig rig;
  const Buffer memory = upload(rig, numbers(64, 1));
  const ConvolutionShape s{1, 2, 2, 1, 1, 5, 5, 1, 1};
  CHECK_THROWS_AS(
      rig.device->convolution().forward(rig.stream, rig.arena, s, DType::kFloat32, memory.data(),
                                        memory.data(), DevicePtr(), false, memory.data()),
      std::invalid_argument);
}

}  // namespace
}  // namespace ab::test
