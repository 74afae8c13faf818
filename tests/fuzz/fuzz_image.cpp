// The bytes of a JPEG or PNG file.
#include "data/decode.h"
#include "engine/error.h"
#include "tests/data/pictures.h"
#include "tests/fuzz/target.h"

namespace ab::fuzz {

bool read_untrusted(std::span<const uint8_t> bytes) {
  static Image image;
  try {
    decode_image(bytes, "fuzzed", image);
    ensure(image.channels == 3, "an image without three channels");
    ensure(image.pixels.size() == static_cast<size_t>(image.height) * image.width * 3,
           "pixels that do not fill the image");
    return true;
  } catch (const DataError& error) {
    return refused(error, "fuzzed: ");
  }
}

std::vector<Bytes> seeds() {
  const Image picture = test::gradient(24, 20, 3);
  return {test::jpeg_of(picture), test::png_of(picture), test::jpeg_of(test::gradient(9, 7, 1))};
}

}  // namespace ab::fuzz
