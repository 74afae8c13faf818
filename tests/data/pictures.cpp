// Encoding for the tests, with the header that writes what the decoder's header reads.
#include "tests/data/pictures.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace ab::test {

namespace {

void append(void* context, void* data, int size) {
  Bytes& bytes = *static_cast<Bytes*>(context);
  const uint8_t* from = static_cast<const uint8_t*>(data);
  bytes.insert(bytes.end(), from, from + size);
}

}  // namespace

Image gradient(int height, int width, int channels) {
  Image image{height, width, channels, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(static_cast<uint8_t>(y * 5 + x * 3 + c * 40));
  return image;
}

Bytes jpeg_of(const Image& image) {
  Bytes bytes;
  stbi_write_jpg_to_func(append, &bytes, image.width, image.height, image.channels,
                         image.pixels.data(), 95);
  return bytes;
}

Bytes png_of(const Image& image) {
  Bytes bytes;
  stbi_write_png_to_func(append, &bytes, image.width, image.height, image.channels,
                         image.pixels.data(), image.width * image.channels);
  return bytes;
}

}  // namespace ab::test
