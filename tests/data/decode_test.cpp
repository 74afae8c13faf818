// What the decoder must accept, and what it must refuse by name.
#include "data/decode.h"

#include <zlib.h>

#include <algorithm>

#include "engine/error.h"
#include "tests/data/fixtures.h"
#include "tests/data/pictures.h"

namespace ab::test {

TEST_CASE("The kinds of files that ImageNet holds decode as libjpeg decodes them", "[data]") {
  // make_images.py wrote the files, and their pixels as Pillow reads them: with libjpeg too, so
  // only the rounding of K/255 may differ (1 level).
  struct Case {
    std::string file;
    int tolerance;
  };
  const Case c = GENERATE(Case{"cmyk.jpg", 1}, Case{"ycck.jpg", 1}, Case{"grey.jpg", 0},
                          Case{"progressive.jpg", 0});
  const fs::path folder = fs::path(AB_SOURCE_DIR) / "tests/data/images";
  Image image, expected;
  decode_image(read_bytes(folder / c.file), c.file, image);
  decode_image(read_bytes((folder / c.file).replace_extension(".png")), "reference", expected);
  REQUIRE((image.height == 16 && image.width == 16 && image.channels == 3));
  REQUIRE(expected.pixels.size() == image.pixels.size());
  int worst = 0, low = 255, high = 0;
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    worst = std::max(worst, std::abs(image.pixels[i] - expected.pixels[i]));
    low = std::min<int>(low, expected.pixels[i]);
    high = std::max<int>(high, expected.pixels[i]);
  }
  INFO(c.file << ": worst difference " << worst);
  CHECK(worst <= c.tolerance);
  CHECK(high - low > 50);  // a picture, not one colour
}

TEST_CASE("The content decides, not the name: a PNG named JPEG", "[data]") {
  const fs::path file = fs::path(AB_SOURCE_DIR) / "tests/data/images/png_named.JPEG";
  Image image;
  decode_image(read_bytes(file), file.string(), image);
  REQUIRE(image.pixels.size() == 16 * 16 * 3);
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 16; ++x) {
      const uint8_t* pixel = image.pixels.data() + (y * 16 + x) * 3;
      REQUIRE((pixel[0] == 20 + 6 * x + 2 * y && pixel[1] == 40 + 2 * x + 6 * y &&
               pixel[2] == 60 + 3 * x + 3 * y));
    }
}

TEST_CASE("PNG pixels come back exactly; grey and alpha become RGB", "[data]") {
  const int channels = GENERATE(1, 2, 3, 4);
  const Image source = gradient(5, 6, channels);
  Image image;
  decode_image(png_of(source), "x.png", image);
  REQUIRE(image.channels == 3);
  REQUIRE(image.pixels.size() == 90);
  for (size_t i = 0; i < 30; ++i)
    for (size_t c = 0; c < 3; ++c)
      CHECK(image.pixels[i * 3 + c] ==
            source.pixels[i * static_cast<size_t>(channels) + (channels < 3 ? 0 : c)]);
}

TEST_CASE("A JPEG keeps its colours within the coding loss", "[data]") {
  Image flat{16, 16, 3, {}};
  for (int i = 0; i < 256; ++i) flat.pixels.insert(flat.pixels.end(), {200, 100, 50});
  Image image;
  decode_image(jpeg_of(flat), "x.jpg", image);
  REQUIRE(image.pixels.size() == 768);
  // A flat block has one coefficient; at quality 95 it is quantised in steps of 2/8 grey levels,
  // and the two colour conversions round by less than 2 levels.
  for (size_t i = 0; i < 768; ++i) CHECK(std::abs(image.pixels[i] - flat.pixels[i % 3]) <= 3);
}

TEST_CASE("A JPEG that is cut anywhere is refused by name; trailing bytes are fine", "[data]") {
  const Bytes whole = jpeg_of(gradient(40, 32, 3));
  Image image;
  for (size_t size = 0; size < whole.size(); size += 1 + size / 40) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    CHECK(holds(message_of<DataError>([&] { decode_image(part, "dir/cut.jpg", image); }),
                {"dir/cut.jpg"}));
  }
  Bytes half(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(whole.size() / 2));
  CHECK(holds(message_of<DataError>([&] { decode_image(half, "cut.jpg", image); }),
              {"cut.jpg: JPEG is cut short", std::to_string(half.size()) + " bytes"}));
  decode_image(whole, "whole.jpg", image);
  const Bytes pixels = image.pixels;
  Bytes longer = whole;
  longer.insert(longer.end(), {0, 1, 2, 0xFF, 0xFF, 0x00, 77});
  decode_image(longer, "longer.jpg", image);
  CHECK(image.pixels == pixels);
}

TEST_CASE("An end marker inside a comment or a thumbnail does not count", "[data]") {
  Bytes bytes = jpeg_of(gradient(8, 8, 3));
  const Bytes comment = {0xFF, 0xFE, 0x00, 0x06, 0xFF, 0xD8, 0xFF, 0xD9};
  bytes.insert(bytes.begin() + 2, comment.begin(), comment.end());
  Image image;
  decode_image(bytes, "f.jpg", image);
  bytes.resize(bytes.size() - 2);
  CHECK(holds(message_of<BadImage>([&] { decode_image(bytes, "f.jpg", image); }), {"cut short"}));
}

TEST_CASE("A Huffman table that counts more codes than there can be is refused", "[data]") {
  Bytes bytes = jpeg_of(gradient(8, 8, 3));
  const Bytes marker = {0xFF, 0xC4};
  const auto table = std::search(bytes.begin(), bytes.end(), marker.begin(), marker.end());
  REQUIRE(table != bytes.end());
  table[5] = 255;  // codes of one bit, of which there can be two
  table[6] = 2;
  Image image;
  CHECK(holds(message_of<BadImage>([&] { decode_image(bytes, "f.jpg", image); }),
              {"f.jpg", "cannot be decoded", "Huffman"}));
}

TEST_CASE("A JPEG of thousands of scans is refused in time", "[data]") {
  // A progressive picture (T.81, G): the headers, then again and again its first scan.
  const Bytes whole = read_bytes(fs::path(AB_SOURCE_DIR) / "tests/data/images/progressive.jpg");
  const Bytes scan_marker = {0xFF, 0xDA};
  const auto first =
      std::search(whole.begin(), whole.end(), scan_marker.begin(), scan_marker.end());
  const auto second = std::search(first + 2, whole.end(), scan_marker.begin(), scan_marker.end());
  REQUIRE(second != whole.end());
  Bytes bytes(whole.begin(), second);
  for (int i = 0; i < 200; ++i) bytes.insert(bytes.end(), first, second);
  bytes.insert(bytes.end(), {0xFF, 0xD9});
  Image image;
  CHECK(holds(message_of<BadImage>([&] { decode_image(bytes, "f.jpg", image); }),
              {"f.jpg", "more than 100 scans"}));
}

TEST_CASE("A PNG whose chunks do not fit the file is refused", "[data]") {
  const Bytes png = png_of(gradient(4, 5, 3));
  Image image;
  const auto message = [&](const Bytes& bytes) {
    return message_of<BadImage>([&] { decode_image(bytes, "f.png", image); });
  };
  const Bytes cut(png.begin(), png.end() - 12);  // IEND is the last 12 bytes
  CHECK(holds(message(cut), {"f.png", "cut short"}));
  Bytes longer = png;
  longer[8 + 25] = 0x40;  // the length of the chunk after IHDR (8 + 13 + 4 bytes): 1 GiB and more
  CHECK(holds(message(longer), {"f.png", "cut short"}));
}

TEST_CASE("Bytes that are no image are refused", "[data]") {
  Image image;
  const auto message = [&](const Bytes& bytes) {
    return message_of<DataError>([&] { decode_image(bytes, "f.jpg", image); });
  };
  CHECK(holds(message({}), {"f.jpg", "neither JPEG nor PNG", "0 bytes"}));
  CHECK(holds(message({'G', 'I', 'F', '8'}), {"f.jpg", "neither JPEG nor PNG"}));
  Bytes png = png_of(gradient(4, 4, 3));
  png[18] = png[22] = 0x20;  // 8,196 x 8,196 pixels in 80 bytes
  CHECK(holds(message(png), {"f.jpg", "CRC"}));
  const uLong check = crc32(0, png.data() + 12, 17);  // of IHDR's type and data, big-endian
  for (size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<uint8_t>(check >> (24 - 8 * i));
  CHECK(holds(message(png), {"f.jpg", "8196 x 8196"}));
  png = png_of(gradient(64, 64, 3));
  Bytes garbled = png;
  garbled[8 + 25 + 8] = 0xff;  // the first byte of the compressed pixels
  CHECK(holds(message(garbled), {"f.jpg", "cannot be decoded"}));
  png.resize(png.size() / 2);
  CHECK(holds(message(png), {"f.jpg", "PNG is cut short"}));
}

}  // namespace ab::test
