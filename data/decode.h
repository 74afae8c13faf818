// decode_image: the bytes of a JPEG or PNG file to (height, width, 3) bytes.
// Grey and two- or four-channel images come out as RGB: alpha is dropped; CMYK and YCCK as Adobe
// stores them (inverted) become R = C K / 255 and so on, without a colour profile. The content
// decides, not the file's name: ImageNet holds a PNG named JPEG.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "data/dataset.h"
#include "engine/error.h"

namespace ab {

// The bytes of one image are damaged: what data.on_bad_image is about. A file that cannot be opened
// or read is a plain DataError, since a lost disk must not pass for a thousand bad pictures.
struct BadImage : DataError {
  using DataError::DataError;
};

// `file` is for messages. Throws BadImage when the bytes are no image, are damaged, or end early.
void decode_image(std::span<const uint8_t> bytes, const std::string& file, Image& image);

// What is wrong with the marker segments of a JPEG, or null. Two things the decoder does not
// notice: a file that ends before its end marker (it fills the rest with grey; bytes after the
// marker are fine), and Huffman tables of more than 256 codes (it writes past them).
const char* jpeg_problem(std::span<const uint8_t> bytes);
// The same of a PNG's chunks: the decoder takes the memory that a chunk claims before it looks
// whether the file is that long. Layout: PNG specification, 5.3: length, type, data, CRC.
const char* png_problem(std::span<const uint8_t> bytes);

}  // namespace ab
