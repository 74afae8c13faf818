// decode_image: the bytes of a JPEG or PNG file to (height, width, 3) bytes.
// Grey and two- or four-channel images come out as RGB (alpha is dropped, CMYK converted). The
// content decides, not the file's name: ImageNet holds a PNG named JPEG.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "data/dataset.h"

namespace ab {

// `file` is for messages. Throws DataError when the bytes are no image, are damaged, or end early.
void decode_image(std::span<const uint8_t> bytes, const std::string& file, Image& image);

// What is wrong with the marker segments of a JPEG, or null. Two things the decoder does not
// notice: a file that ends before its end marker (it fills the rest with grey; bytes after the
// marker are fine), and Huffman tables of more than 256 codes (it writes past them).
const char* jpeg_problem(std::span<const uint8_t> bytes);

}  // namespace ab
