// decode_image: the bytes of a JPEG or PNG file to (height, width, 3) bytes.
// Grey and two- or four-channel images come out as RGB: alpha is dropped; CMYK and YCCK as Adobe
// stores them (inverted) become R = C K / 255 and so on, without a colour profile. The content
// decides, not the file's name: ImageNet holds a PNG named JPEG.
// A JPEG that ends before its end marker is refused (libjpeg-turbo would fill the rest with grey),
// so is a code that its tables do not hold; bytes after the end marker are fine.
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

}  // namespace ab
