// JPEG and PNG files made in memory.
#pragma once
#include "tests/data/fixtures.h"

namespace ab::test {

// A picture in which all pixels of a small image differ.
Image gradient(int height, int width, int channels);
Bytes jpeg_of(const Image& image);  // quality 95
Bytes png_of(const Image& image);

}  // namespace ab::test
