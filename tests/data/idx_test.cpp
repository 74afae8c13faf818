// IDX files, plain and gzipped, and the digits that the repository holds.
#include <numeric>

#include "engine/error.h"
#include "tests/data/fixtures.h"

namespace ab::test {

namespace {

Bytes images(uint32_t count, uint32_t height, uint32_t width) {
  Bytes bytes;
  append_u32(bytes, 0x803);
  append_u32(bytes, count);
  append_u32(bytes, height);
  append_u32(bytes, width);
  for (uint32_t i = 0; i < count * height * width; ++i)
    bytes.push_back(static_cast<uint8_t>(i * 13));
  return bytes;
}

Bytes labels(uint32_t count) {
  Bytes bytes;
  append_u32(bytes, 0x801);
  append_u32(bytes, count);
  for (uint32_t i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(i % 10));
  return bytes;
}

}  // namespace

TEST_CASE("IDX images are read plain and gzipped", "[data]") {
  TempDir dir;
  if (GENERATE(false, true)) {
    write_gz(dir / "train-images-idx3-ubyte.gz", images(12, 5, 7));
    write_gz(dir / "train-labels-idx1-ubyte.gz", labels(12));
  } else {
    write_file(dir / "train-images-idx3-ubyte", images(12, 5, 7));
    write_file(dir / "train-labels-idx1-ubyte", labels(12));
  }
  const auto dataset = open_dataset(settings_of("idx", dir.path()), Split::kTrain);
  REQUIRE(dataset->size() == 12);
  CHECK(dataset->classes() == 10);
  CHECK(dataset->channels() == 1);
  CHECK(dataset->height() == 5);
  CHECK(dataset->width() == 7);
  Image image;
  dataset->read(11, image);
  CHECK(dataset->label(11) == 1);
  REQUIRE(image.pixels.size() == 35);
  CHECK(image.channels == 1);
  for (int i = 0; i < 35; ++i)
    CHECK(image.pixels[static_cast<size_t>(i)] == static_cast<uint8_t>((11 * 35 + i) * 13));
}

TEST_CASE("A damaged IDX file is named with what was found", "[data]") {
  TempDir dir;
  const fs::path image_file = dir / "train-images-idx3-ubyte";
  const fs::path label_file = dir / "train-labels-idx1-ubyte";
  Bytes good_images = images(12, 5, 7), good_labels = labels(12);
  write_file(image_file, good_images);
  write_file(label_file, good_labels);
  DataSettings settings = settings_of("idx", dir.path());
  const auto message = [&] {
    return message_of<DataError>([&] { open_dataset(settings, Split::kTrain); });
  };
  REQUIRE(message().empty());
  SECTION("magic") {
    good_images[3] = 1;
    write_file(image_file, good_images);
    CHECK(holds(message(), {image_file.string(), "0x00000801", "0x00000803"}));
  }
  SECTION("cut short") {
    good_images.pop_back();
    write_file(image_file, good_images);
    CHECK(holds(message(), {image_file.string(), "12 x 5 x 7", "435; expected 436"}));
  }
  SECTION("inside the header") {
    good_labels.resize(6);
    write_file(label_file, good_labels);
    CHECK(holds(message(), {label_file.string(), "header"}));
  }
  SECTION("too long") {
    good_labels.push_back(0);
    write_file(label_file, good_labels);
    CHECK(holds(message(), {label_file.string(), "more follow"}));
  }
  SECTION("counts differ") {
    write_file(label_file, labels(11));
    CHECK(holds(message(), {image_file.string(), "12 images", label_file.string(), "11 labels"}));
  }
  SECTION("label above the model's classes") {
    good_labels[8 + 4] = 11;
    write_file(label_file, good_labels);
    CHECK(holds(message(), {"label 11 in " + label_file.string() + ", but model.classes is 10"}));
  }
  SECTION("missing") {
    fs::remove(label_file);
    CHECK(holds(message(), {label_file.string(), "missing", ".gz"}));
  }
  SECTION("sizes that no file could hold take no memory") {
    for (const int at : {4, 8, 12}) {
      Bytes bytes = good_images;
      for (int i = 0; i < 4; ++i) bytes[static_cast<size_t>(at + i)] = 0xFF;
      write_file(image_file, bytes);
      CHECK(holds(message(), {image_file.string(), "claims", "4294967295"}));
      fs::remove(image_file);
      write_gz(dir / "train-images-idx3-ubyte.gz", bytes);
      CHECK(holds(message(), {"train-images-idx3-ubyte.gz", "claims", "4294967295"}));
      fs::remove(dir / "train-images-idx3-ubyte.gz");
    }
  }
}

TEST_CASE("A gzipped file that is cut or flipped is named", "[data]") {
  TempDir dir;
  const fs::path image_file = dir / "train-images-idx3-ubyte.gz";
  write_gz(image_file, images(200, 28, 28));
  write_file(dir / "train-labels-idx1-ubyte", labels(200));
  const auto message = [&] {
    return message_of<DataError>(
        [&] { open_dataset(settings_of("idx", dir.path()), Split::kTrain); });
  };
  REQUIRE(message().empty());
  Bytes bytes = read_bytes(image_file);
  SECTION("cut in half") {
    bytes.resize(bytes.size() / 2);
    write_file(image_file, bytes);
    CHECK(holds(message(), {image_file.string()}));
  }
  SECTION("checksum") {
    bytes[bytes.size() - 6] ^= 1;
    write_file(image_file, bytes);
    CHECK(holds(message(), {image_file.string(), "damaged"}));
  }
}

TEST_CASE("The repository's digits: 400 + 100 of each, taking turns", "[data]") {
  DataSettings settings = settings_of("idx", std::string(AB_SOURCE_DIR) + "/data/samples/mnist");
  settings.image = 28;
  double sum = 0.0;
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto dataset = open_dataset(settings, split);
    REQUIRE(dataset->size() == (split == Split::kTrain ? 4000 : 1000));
    CHECK(dataset->height() == 28);
    Image image;
    int wrong = 0;
    for (int64_t i = 0; i < dataset->size(); ++i) {
      wrong += dataset->label(i) != i % 10;
      dataset->read(i, image);
      sum += std::accumulate(image.pixels.begin(), image.pixels.end(), 0.0);
    }
    CHECK(wrong == 0);
  }
  // The mean of all of MNIST is 0.1307; 5,000 images of std 0.03 (of image means) lie within 0.002.
  CHECK(sum / (5000.0 * 784 * 255) == Approx(0.1307).margin(0.002));
}

}  // namespace ab::test
