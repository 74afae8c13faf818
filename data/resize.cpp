// Separable triangle filter, as image libraries understand "bilinear" when they shrink a
// photograph:
//   scale = size / scaled, support = max(scale, 1), centre(o) = begin + (o + 1/2) scale
//   weight(i) ~ max(0, 1 - |i + 1/2 - centre| / support), normalised over the source pixels in
//   range
// Enlarging (scale < 1) this is plain bilinear interpolation with half-pixel centres and clamped
// edges. Rows first: the sum over source rows runs along contiguous memory; then columns. fp32 sums
// in fixed order. Reads each source row about twice, writes out once.
#include "data/resize.h"

#include <algorithm>
#include <cmath>

namespace ab {

namespace {

void plan(const ResizeAxis& axis, ResizeScratch::Taps& taps) {
  const double scale = axis.size / static_cast<double>(axis.scaled);
  const double support = std::max(scale, 1.0);
  taps.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.first.resize(static_cast<size_t>(axis.count));
  taps.count.resize(static_cast<size_t>(axis.count));
  taps.weights.assign(static_cast<size_t>(axis.count) * taps.stride, 0.0f);
  for (int o = 0; o < axis.count; ++o) {
    const double centre = (static_cast<double>(axis.first + o) + 0.5) * scale;
    const int begin = std::max(0, static_cast<int>(centre - support + 0.5));
    const int end = std::min(axis.size, static_cast<int>(centre + support + 0.5));
    float* weights = taps.weights.data() + static_cast<size_t>(o) * taps.stride;
    double sum = 0.0;
    for (int i = begin; i < end; ++i)
      sum += std::max(0.0, 1.0 - std::abs(i + 0.5 - centre) / support);
    for (int i = begin; i < end; ++i)
      weights[i - begin] =
          static_cast<float>(std::max(0.0, 1.0 - std::abs(i + 0.5 - centre) / support) / sum);
    taps.first[static_cast<size_t>(o)] = axis.begin + begin;
    taps.count[static_cast<size_t>(o)] = end - begin;
  }
}

uint8_t rounded(float value) {
  return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
}

template <int kChannels>
void sum_columns(const float* row, int row_begin, const ResizeScratch::Taps& taps, int count,
                 uint8_t* out) {
  for (int o = 0; o < count; ++o) {
    const float* from = row + static_cast<ptrdiff_t>(taps.first[o] - row_begin) * kChannels;
    const float* weights = taps.weights.data() + static_cast<size_t>(o) * taps.stride;
    float sums[kChannels] = {};
    for (int i = 0; i < taps.count[o]; ++i)
      for (int c = 0; c < kChannels; ++c) sums[c] += weights[i] * from[i * kChannels + c];
    for (int c = 0; c < kChannels; ++c) out[o * kChannels + c] = rounded(sums[c]);
  }
}

}  // namespace

void resize_bilinear(const Image& image, const ResizeAxis& rows, const ResizeAxis& columns,
                     ResizeScratch& scratch, uint8_t* out) {
  plan(rows, scratch.rows);
  plan(columns, scratch.columns);
  const int channels = image.channels, values = columns.size * channels;
  scratch.row.resize(static_cast<size_t>(values));
  float* row = scratch.row.data();
  for (int o = 0; o < rows.count; ++o) {
    const float* weights =
        scratch.rows.weights.data() + static_cast<size_t>(o) * scratch.rows.stride;
    std::fill_n(row, values, 0.0f);
    for (int i = 0; i < scratch.rows.count[o]; ++i) {
      const uint8_t* from =
          image.pixels.data() +
          (static_cast<size_t>(scratch.rows.first[o] + i) * image.width + columns.begin) * channels;
      const float weight = weights[i];
      for (int v = 0; v < values; ++v) row[v] += weight * static_cast<float>(from[v]);
    }
    uint8_t* to = out + static_cast<size_t>(o) * columns.count * channels;
    if (channels == 1)
      sum_columns<1>(row, columns.begin, scratch.columns, columns.count, to);
    else
      sum_columns<3>(row, columns.begin, scratch.columns, columns.count, to);
  }
}

}  // namespace ab
