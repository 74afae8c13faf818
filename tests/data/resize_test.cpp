// Resizing: weights that can be worked out by hand.
#include "data/resize.h"

#include "tests/catch.h"

namespace ab::test {

namespace {

std::vector<uint8_t> resized(const Image& image, const ResizeAxis& rows,
                             const ResizeAxis& columns) {
  ResizeScratch scratch;
  std::vector<uint8_t> out(static_cast<size_t>(rows.count) * columns.count * image.channels);
  resize_bilinear(image, rows, columns, scratch, out.data());
  return out;
}

}  // namespace

TEST_CASE("Enlarging interpolates between pixel centres and clamps at the edges", "[data]") {
  // Two pixels to four: centres at 0.25, 0.75, 1.25, 1.75 of [0, 2]: a, 3/4 a + 1/4 b, the mirror,
  // b.
  const Image image{1, 2, 1, {0, 200}};
  CHECK(resized(image, {0, 1, 1, 0, 1}, {0, 2, 4, 0, 4}) == std::vector<uint8_t>{0, 50, 150, 200});
  const Image upright{2, 1, 1, {0, 200}};
  CHECK(resized(upright, {0, 2, 4, 0, 4}, {0, 1, 1, 0, 1}) ==
        std::vector<uint8_t>{0, 50, 150, 200});
}

TEST_CASE("Shrinking averages over the wider filter", "[data]") {
  // Four pixels to two: support 2, centre 1: weights 3/4, 3/4, 1/4 of pixels 0 to 2, over their
  // sum.
  const Image image{1, 4, 1, {70, 0, 210, 140}};
  CHECK(resized(image, {0, 1, 1, 0, 1}, {0, 4, 2, 0, 2}) ==
        std::vector<uint8_t>{(3 * 70 + 3 * 0 + 210) / 7, (0 + 3 * 210 + 3 * 140) / 7});
}

TEST_CASE("A crop of a resize is that part of the whole resize", "[data]") {
  Image image{37, 53, 3, {}};
  for (int i = 0; i < 37 * 53 * 3; ++i) image.pixels.push_back(static_cast<uint8_t>(i * i / 7 + i));
  const auto whole = resized(image, {0, 37, 20, 0, 20}, {0, 53, 29, 0, 29});
  const auto part = resized(image, {0, 37, 20, 3, 14}, {0, 53, 29, 7, 15});
  int wrong = 0;
  for (int y = 0; y < 14; ++y)
    for (int v = 0; v < 15 * 3; ++v) wrong += part[y * 45 + v] != whole[(y + 3) * 87 + 21 + v];
  CHECK(wrong == 0);
}

TEST_CASE("Flat images stay flat; the region alone is read", "[data]") {
  for (const int to : {1, 2, 3, 7, 31, 64}) {
    Image image{19, 23, 3, std::vector<uint8_t>(19 * 23 * 3, 0)};
    for (int y = 4; y < 15; ++y)
      for (int x = 5; x < 18; ++x)
        for (int c = 0; c < 3; ++c) image.pixels[static_cast<size_t>((y * 23 + x) * 3 + c)] = 255;
    const auto out = resized(image, {4, 11, to, 0, to}, {5, 13, to, 0, to});
    CHECK(out == std::vector<uint8_t>(static_cast<size_t>(to * to * 3), 255));
  }
}

TEST_CASE("The same size is a copy", "[data]") {
  const Image image{2, 3, 1, {9, 250, 31, 4, 0, 255}};
  CHECK(resized(image, {0, 2, 2, 0, 2}, {0, 3, 3, 0, 3}) == image.pixels);
}

}  // namespace ab::test
