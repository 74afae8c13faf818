// Case rows of kernels/topk.h, transpose.h, checksum.h, finite.h and image_prepare.h.
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/checksum.h"
#include "kernels/finite.h"
#include "kernels/image_prepare.h"
#include "kernels/topk.h"
#include "kernels/transpose.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

KernelCase named(const std::string& kernel, const std::string& shape, DType t, double bytes,
                 bool benchmark) {
  KernelCase c;
  c.kernel = kernel;
  c.shape = shape;
  c.dtype = t;
  c.bytes = bytes;
  c.benchmark = benchmark;
  return c;
}

KernelCase topk_row(const CaseShape& shape, DType t) {
  const int64_t n = shape.elements(), rows = shape.rows, classes = shape.cols;
  KernelCase c = named("count_top_hits", shape.text(), t, static_cast<double>(n) * size_of(t),
                       shape.benchmark);
  c.buffers = {input("logits", n, t), indices("labels", rows, classes),
               output("hits", 2, DType::kFloat32), scratch(rows * sizeof(float))};
  c.run = [=](Stream s, CasePointers p) {
    count_top_hits(s, t, {p[0], p[1], rows, classes, p[3], p[2]});
  };
  c.reference = [=](CaseValues& v) {
    v[2] = {0.0, 0.0};
    for (int64_t r = 0; r < rows; ++r) {
      const double* row = v[0].data() + r * classes;
      const int64_t label = static_cast<int64_t>(v[1][r]);
      int rank = 0;
      for (int64_t k = 0; k < classes; ++k)
        rank += row[k] > row[label] || (row[k] == row[label] && k < label);
      v[2][0] += rank < 1;
      v[2][1] += rank < 5;
    }
  };
  return c;
}

KernelCase transpose_row(const CaseShape& shape, DType t) {
  const int64_t n = shape.elements(), rows = shape.rows, cols = shape.cols;
  KernelCase c = named("transpose", shape.text(), t, 2.0 * n * size_of(t), shape.benchmark);
  c.buffers = {input("x", n, t), output("y", n, t)};
  c.run = [=](Stream s, CasePointers p) { transpose(s, t, rows, cols, p[0], p[1]); };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < n; ++i) v[1][i % cols * rows + i / cols] = v[0][i];
  };
  return c;
}

uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// The hash as two 32-bit numbers, which a double holds exactly.
KernelCase checksum_row(int64_t n, bool benchmark) {
  KernelCase c = named("checksum", std::string("(") + std::to_string(n) + ")", DType::kFloat32,
                       4.0 * n, benchmark);
  c.buffers = {input("x", n, DType::kFloat32), output("hash", 2, DType::kInt32),
               scratch(checksum_scratch_bytes(4 * n))};
  c.run = [=](Stream s, CasePointers p) { checksum(s, 4 * n, p[0], p[2], p[1]); };
  c.reference = [=](CaseValues& v) {
    uint64_t sum = mixed(static_cast<uint64_t>(n + 1) << 32) + mixed(~static_cast<uint64_t>(4 * n));
    for (int64_t i = 0; i < n; ++i) {
      const float value = static_cast<float>(v[0][i]);
      uint32_t word;
      std::memcpy(&word, &value, sizeof word);
      sum += mixed((static_cast<uint64_t>(i + 1) << 32) ^ word);
    }
    v[1] = {static_cast<double>(static_cast<int32_t>(sum)),
            static_cast<double>(static_cast<int32_t>(sum >> 32))};
  };
  return c;
}

// Every third element is made infinite, every seventh NaN.
KernelCase finite_row(int64_t n, DType t, bool spoiled, bool benchmark) {
  KernelCase c = named("count_non_finite",
                       std::string("(") + std::to_string(n) + (spoiled ? "), spoiled" : ")"), t,
                       static_cast<double>(n) * size_of(t), benchmark);
  c.buffers = {input("x", n, t), output("count", 1, DType::kInt64),
               scratch(count_non_finite_scratch_bytes(n))};
  if (spoiled)
    c.prepare = [](CaseValues& v) {
      for (size_t i = 0; i < v[0].size(); ++i) {
        if (i % 3 == 0) v[0][i] = std::numeric_limits<double>::infinity() * (i % 2 ? 1 : -1);
        if (i % 7 == 0) v[0][i] = std::numeric_limits<double>::quiet_NaN();
      }
    };
  c.run = [=](Stream s, CasePointers p) { count_non_finite(s, t, n, p[0], p[2], p[1]); };
  c.reference = [](CaseValues& v) {
    v[1][0] = 0.0;
    for (const double x : v[0]) v[1][0] += std::isfinite(x) ? 0.0 : 1.0;
  };
  return c;
}

struct PrepareShape {
  int batch, height, width, channels, padding, out_height, out_width, reach;
  bool benchmark = false;
};

// Buffers: pixels, crops (values below `reach`, so that some crops leave the padded image), y.
KernelCase prepare_row(const PrepareShape& s, DType t) {
  const int64_t pixels = int64_t{s.batch} * s.height * s.width * s.channels;
  const int64_t n = int64_t{s.batch} * s.out_height * s.out_width * s.channels;
  KernelCase c =
      named("prepare_image_batch",
            std::string("(") + std::to_string(s.batch) + ", " + std::to_string(s.height) + ", " +
                std::to_string(s.width) + ", " + std::to_string(s.channels) + ") to " +
                std::to_string(s.out_height) + "x" + std::to_string(s.out_width),
            t, static_cast<double>(n) * (1 + size_of(t)), s.benchmark);
  ImagePrepare a;
  a.batch = s.batch;
  a.height = s.height, a.width = s.width, a.channels = s.channels, a.padding = s.padding;
  a.out_height = s.out_height, a.out_width = s.out_width;
  for (int k = 0; k < 3; ++k) a.mean[k] = 0.5f - 0.125f * k, a.inverse_std[k] = 4.0f + k;
  c.buffers = {indices("pixels", pixels, 256), indices("crops", 3 * s.batch, s.reach),
               output("y", n, t)};
  c.buffers[0].dtype = DType::kUint8;
  c.run = [=](Stream stream, CasePointers p) {
    ImagePrepare args = a;
    args.pixels = p[0];
    args.crops = p[1];
    prepare_image_batch(stream, t, args, p[2]);
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < n; ++i) {
      const int k = static_cast<int>(i % s.channels);
      const int64_t pixel = i / s.channels, column = pixel % s.out_width;
      const int64_t row = pixel / s.out_width % s.out_height;
      const int64_t image = pixel / (int64_t{s.out_width} * s.out_height);
      const double* crop = v[1].data() + 3 * image;
      const int64_t y = row + static_cast<int64_t>(crop[0]) - s.padding;
      const int64_t x = (crop[2] != 0.0 ? s.out_width - 1 - column : column) +
                        static_cast<int64_t>(crop[1]) - s.padding;
      const bool inside = y >= 0 && y < s.height && x >= 0 && x < s.width;
      const double value =
          inside ? v[0][((image * s.height + y) * s.width + x) * s.channels + k] : 0.0;
      v[2][i] = (value / 255.0 - a.mean[k]) * a.inverse_std[k];
    }
  };
  return c;
}

}  // namespace

void add_inspection_cases(CaseList& cases) {
  constexpr PrepareShape kImages[] = {{1, 1, 1, 1, 0, 1, 1, 1},
                                      {3, 5, 7, 3, 2, 5, 7, 5},
                                      {4, 6, 5, 1, 1, 4, 3, 4},
                                      {2, 9, 9, 2, 0, 4, 5, 5},
                                      {8, 224, 224, 3, 0, 224, 224, 2, true}};
  for (const DType dtype : kActivationTypes) {
    for (const CaseShape& shape : kCaseShapes) {
      cases.push_back(topk_row(shape, dtype));
      cases.push_back(transpose_row(shape, dtype));
    }
    cases.push_back(transpose_row({2048, 1024, true}, dtype));
    cases.push_back(topk_row({1024, 1000, true}, dtype));
    for (const int64_t n : {1, 7, 255, 257, 16385, 40000})
      for (const bool spoiled : {false, true})
        cases.push_back(finite_row(n, dtype, spoiled, false));
    cases.push_back(finite_row(1 << 21, dtype, false, true));
    for (const PrepareShape& shape : kImages) cases.push_back(prepare_row(shape, dtype));
  }
  for (const int64_t n : {1, 7, 255, 257, 16385, 40000}) cases.push_back(checksum_row(n, false));
  cases.push_back(checksum_row(1 << 21, true));
}

}  // namespace ab
