// Image folders: classes and labels, what a decoder must accept, and what it must refuse by name.
#include <algorithm>

#include "data/decode.h"
#include "engine/error.h"
#include "tests/data/fixtures.h"
#include "tests/data/pictures.h"

namespace ab::test {

namespace {

std::string folder_error(const fs::path& dir, Split split = Split::kTrain, int classes = 10) {
  DataSettings settings = settings_of("image_folder", dir);
  settings.classes = classes;
  return message_of<DataError>([&] { open_dataset(settings, split); });
}

}  // namespace

TEST_CASE("Labels are places among the sorted class names", "[data]") {
  TempDir dir;
  write_file(dir / "train/zebra/b.JPEG", jpeg_of(gradient(8, 8, 3)));
  write_file(dir / "train/ant/x.jpg", jpeg_of(gradient(9, 7, 3)));
  write_file(dir / "train/ant/c.png", png_of(gradient(6, 5, 3)));
  write_file(dir / "train/ant/notes.txt", {1, 2, 3});
  write_file(dir / "train/ant/._x.jpg", {1, 2, 3});
  write_file(dir / "train/cat/a.jpeg", jpeg_of(gradient(4, 4, 3)));
  write_file(dir / "val/cat/v.jpg", jpeg_of(gradient(4, 4, 3)));
  const auto train = open_dataset(settings_of("image_folder", dir.path()), Split::kTrain);
  REQUIRE(train->size() == 4);
  CHECK(train->classes() == 3);
  const int labels[] = {0, 0, 1, 2}, heights[] = {6, 9, 4, 8}, widths[] = {5, 7, 4, 8};
  Image image;
  for (int i = 0; i < 4; ++i) {
    CHECK(train->label(i) == labels[i]);
    train->read(i, image);
    CHECK(image.height == heights[i]);
    CHECK(image.width == widths[i]);
    CHECK(image.pixels.size() == static_cast<size_t>(3 * heights[i] * widths[i]));
  }
  CHECK(train->height() == 0);
  CHECK(train->width() == 0);
  // The validation split holds one class of the three; its label is still that of the training
  // names.
  const auto val = open_dataset(settings_of("image_folder", dir.path()), Split::kTest);
  REQUIRE(val->size() == 1);
  CHECK(val->label(0) == 1);
}

TEST_CASE("The test split is val, or test", "[data]") {
  TempDir dir;
  write_file(dir / "train/a/1.png", png_of(gradient(4, 4, 3)));
  CHECK(
      holds(folder_error(dir.path(), Split::kTest), {dir.path().string(), "neither val nor test"}));
  write_file(dir / "test/a/2.png", png_of(gradient(4, 4, 3)));
  CHECK(folder_error(dir.path(), Split::kTest).empty());
  fs::remove_all(dir / "train");
  CHECK(folder_error(dir.path(), Split::kTest).empty());
  CHECK(holds(folder_error(dir.path()), {(dir / "train").string(), "missing"}));
}

TEST_CASE("Folders that cannot be labelled are named", "[data]") {
  TempDir dir;
  fs::create_directories(dir / "train");
  CHECK(holds(folder_error(dir.path()), {(dir / "train").string(), "no class folder"}));
  for (const char* name : {"a", "b", "c"})
    write_file(dir / ("train/" + std::string(name) + "/1.png"), png_of(gradient(4, 4, 3)));
  CHECK(folder_error(dir.path(), Split::kTrain, 3).empty());
  CHECK(
      holds(folder_error(dir.path(), Split::kTrain, 2), {"3 class folders", "model.classes is 2"}));
  fs::create_directories(dir / "train/empty");
  CHECK(holds(folder_error(dir.path()),
              {"class folder " + (dir / "train/empty").string(), "no image"}));
  fs::remove_all(dir / "train/empty");
  write_file(dir / "val/d/1.png", png_of(gradient(4, 4, 3)));
  CHECK(holds(folder_error(dir.path(), Split::kTest), {(dir / "val/d").string(), "does not have"}));
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
  CHECK(jpeg_problem(bytes) == nullptr);
  bytes.resize(bytes.size() - 2);
  CHECK(holds(jpeg_problem(bytes), {"cut short"}));
}

TEST_CASE("A Huffman table that would overrun the decoder is refused", "[data]") {
  Bytes bytes = jpeg_of(gradient(8, 8, 3));
  const Bytes marker = {0xFF, 0xC4};
  const auto table = std::search(bytes.begin(), bytes.end(), marker.begin(), marker.end());
  REQUIRE(table != bytes.end());
  table[5] = 255;  // codes of one bit, of which there can be two
  table[6] = 2;
  CHECK(holds(jpeg_problem(bytes), {"Huffman"}));
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
  CHECK(holds(message(png), {"f.jpg", "8196 x 8196"}));
  png = png_of(gradient(64, 64, 3));
  png.resize(png.size() / 2);
  CHECK(holds(message(png), {"f.jpg", "cannot be decoded"}));
}

}  // namespace ab::test
