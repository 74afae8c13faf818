// Bilinear resizing of byte images, antialiased: the filter widens with the reduction.
#pragma once
#include <cstdint>
#include <vector>

#include "data/augmentation.h"

namespace ab {

// One axis of a resize: source pixels [begin, begin + size) become `scaled` pixels, of which only
// [first, first + count) are wanted (a crop after the resize).
struct ResizeAxis {
  int begin = 0, size = 0;
  int64_t scaled = 0, first = 0;
  int count = 0;
};

// Weights of every wanted pixel of an axis and a row of sums; kept by the caller to be reused.
struct ResizeScratch {
  struct Taps {
    std::vector<int> first, count;  // per wanted pixel: first source pixel, number of them
    std::vector<float> weights;     // (wanted, stride), summing to 1 per pixel
    int stride = 0;
  };
  Taps rows, columns;
  std::vector<float> row;
};

// out (rows.count, columns.count, channels) bytes, rounded to nearest.
void resize_bilinear(const Image& image, const ResizeAxis& rows, const ResizeAxis& columns,
                     ResizeScratch& scratch, uint8_t* out);

}  // namespace ab
