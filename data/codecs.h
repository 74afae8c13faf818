// The two codecs behind decode_image: JPEG by libjpeg-turbo, PNG by libpng.
// Both write (height, width, 3) bytes of RGB into `image` and return "", or return what is wrong
// with the bytes; `image` is then undefined.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "data/dataset.h"

namespace ab {

std::string decode_jpeg(std::span<const uint8_t> bytes, Image& image);
std::string decode_png(std::span<const uint8_t> bytes, Image& image);

// What is wrong with a picture of this size in a file of so many bytes, or "". Asked between the
// header and the pixels, so that a damaged header takes no memory.
std::string size_problem(int64_t width, int64_t height, size_t bytes);

}  // namespace ab
