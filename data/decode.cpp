// The two formats that image folders hold, told apart by their first bytes.
#include "data/decode.h"

#include <cstring>

#include "data/codecs.h"

namespace ab {

namespace {

// libjpeg-turbo holds up to 8 bytes a pixel of a progressive JPEG (coefficients of four channels)
// and the result takes 3: with this bound 550 MB.
constexpr int64_t kMaxPixels = 50'000'000;
// No encoder packs more: deflate expands a byte to 1,032, and a PNG byte holds at most 8 pixels.
constexpr int64_t kMaxPixelsPerByte = 1032 * 8;

}  // namespace

std::string size_problem(int64_t width, int64_t height, size_t bytes) {
  if (width * height <= kMaxPixels &&
      width * height <= kMaxPixelsPerByte * static_cast<int64_t>(bytes))
    return "";
  return "claims " + std::to_string(width) + " x " + std::to_string(height) + " pixels (at most " +
         std::to_string(kMaxPixels) + " are read, and " + std::to_string(kMaxPixelsPerByte) +
         " a byte); it is damaged";
}

void decode_image(std::span<const uint8_t> bytes, const std::string& file, Image& image) {
  const bool jpeg = bytes.size() >= 2 && bytes[0] == 0xFF && bytes[1] == 0xD8;
  const bool png = bytes.size() >= 4 && std::memcmp(bytes.data(), "\x89PNG", 4) == 0;
  const std::string problem = jpeg  ? decode_jpeg(bytes, image)
                              : png ? decode_png(bytes, image)
                                    : "neither JPEG nor PNG";
  if (!problem.empty())
    throw BadImage(file + ": " + problem + " (" + std::to_string(bytes.size()) +
                   " bytes); replace the file, take it out, or set data.on_bad_image=skip");
}

}  // namespace ab
