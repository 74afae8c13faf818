// Decoding with stb_image (stb_image.cpp), in the two formats that image folders hold. Marker
// layout of JPEG: ITU-T T.81, annex B: 0xFF, code; codes 0x01 and 0xD0-0xD9 stand alone, the others
// are followed by a two-byte big-endian length that counts itself; after a scan header (0xDA) come
// entropy-coded bytes in which 0xFF 0x00 is a literal 0xFF.
#include "data/decode.h"

#include <cstring>
#include <limits>
#include <memory>

#include "engine/error.h"

#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#include <stb/stb_image.h>

namespace ab {

namespace {

// The decoder takes up to 19 bytes a pixel (a PNG of four 16-bit channels, twice, and the result):
// with this bound less than 1 GiB.
constexpr int64_t kMaxPixels = 50'000'000;
// No encoder packs more: deflate expands a byte to 1,032, and a PNG byte holds at most 8 pixels.
constexpr int64_t kMaxPixelsPerByte = 1032 * 8;

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw BadImage(file + ": " + what +
                 "; replace the file, take it out, or set data.on_bad_image=skip");
}

bool stands_alone(uint8_t code) {
  return code == 0x01 || (code >= 0xD0 && code <= 0xD8);
}

// tables: (class and number, 16 counts of codes by length, the codes' values) one after the other.
bool huffman_tables_fit(std::span<const uint8_t> tables) {
  size_t at = 0;
  while (tables.size() - at >= 17) {
    size_t codes = 0;
    for (size_t i = 1; i <= 16; ++i) codes += tables[at + i];
    if (codes > 256) return false;
    at += 17 + codes;
    if (at > tables.size()) return false;
  }
  return at == tables.size();
}

void check_size(const std::string& file, int width, int height, size_t bytes) {
  const int64_t pixels = int64_t{width} * height;
  if (pixels > kMaxPixels || pixels > kMaxPixelsPerByte * static_cast<int64_t>(bytes))
    fail(file, "claims " + std::to_string(width) + " x " + std::to_string(height) +
                   " pixels in a file of " + std::to_string(bytes) + " bytes (at most " +
                   std::to_string(kMaxPixels) + " pixels are read); it is damaged");
}

}  // namespace

const char* jpeg_problem(std::span<const uint8_t> bytes) {
  constexpr const char* kCut = "JPEG is cut short: no end marker";
  size_t at = 2;
  while (true) {
    // The next marker; whatever else lies in between is a scan's data or padding.
    while (at < bytes.size() && bytes[at] != 0xFF) ++at;
    while (at < bytes.size() && bytes[at] == 0xFF) ++at;
    if (at >= bytes.size()) return kCut;
    const uint8_t code = bytes[at++];
    if (code == 0xD9) return nullptr;
    if (code == 0x00 || stands_alone(code)) continue;
    if (bytes.size() - at < 2) return kCut;
    const size_t length = size_t{bytes[at]} << 8 | bytes[at + 1];
    if (length < 2) return "JPEG is damaged: segment without a length";
    if (length > bytes.size() - at) return kCut;
    if (code == 0xC4 && !huffman_tables_fit(bytes.subspan(at + 2, length - 2)))
      return "JPEG is damaged: Huffman table of more than 256 codes";
    at += length;
  }
}

const char* png_problem(std::span<const uint8_t> bytes) {
  constexpr size_t kSignature = 8, kHead = 8, kCheck = 4;  // kHead: length and type of a chunk
  for (size_t at = kSignature; bytes.size() >= at + kHead;) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | bytes[at + i];
    if (std::memcmp(&bytes[at + 4], "IEND", 4) == 0) return nullptr;
    if (length > bytes.size() - at - kHead)
      return "PNG is cut short: a chunk is longer than the file";
    at += kHead + length + kCheck;
  }
  return "PNG is cut short: no IEND chunk";
}

void decode_image(std::span<const uint8_t> bytes, const std::string& file, Image& image) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max()))
    fail(file, std::to_string(bytes.size()) + " bytes are no photograph");
  const bool jpeg = bytes.size() >= 2 && bytes[0] == 0xFF && bytes[1] == 0xD8;
  const bool png = bytes.size() >= 4 && std::memcmp(bytes.data(), "\x89PNG", 4) == 0;
  if (!jpeg && !png)
    fail(file, "neither JPEG nor PNG (" + std::to_string(bytes.size()) + " bytes)");
  if (const char* problem = jpeg ? jpeg_problem(bytes) : png_problem(bytes))
    fail(file, std::string(problem) + " (" + std::to_string(bytes.size()) + " bytes)");
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, stored_channels = 0;
  if (!stbi_info_from_memory(bytes.data(), size, &width, &height, &stored_channels))
    fail(file, "cannot be decoded: damaged, or a kind of JPEG or PNG that stb_image does not read");
  check_size(file, width, height, bytes.size());
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes.data(), size, &width, &height, &stored_channels, 3),
      stbi_image_free);
  if (!pixels)
    fail(file, "cannot be decoded: damaged, or a kind of JPEG or PNG that stb_image does not read");
  image.height = height;
  image.width = width;
  image.channels = 3;
  image.pixels.assign(pixels.get(), pixels.get() + int64_t{3} * width * height);
}

}  // namespace ab
