// CIFAR files: bytes that the test wrote come back as (y, x, channel), and every way in which a
// file can be wrong is named.
#include "engine/error.h"
#include "tests/data/fixtures.h"

namespace ab::test {

TEST_CASE("CIFAR-10 records come back with channels last", "[data]") {
  TempDir dir;
  const bool subfolder = GENERATE(false, true);
  write_cifar10(subfolder ? dir / "cifar-10-batches-bin" : dir.path(), 3);
  const auto train = open_dataset(settings_of("cifar10", dir.path()), Split::kTrain);
  const auto test = open_dataset(settings_of("cifar10", dir.path()), Split::kTest);
  REQUIRE(train->size() == 15);
  REQUIRE(test->size() == 3);
  CHECK(train->classes() == 10);
  CHECK(train->channels() == 3);
  CHECK(train->height() == 32);
  CHECK(train->width() == 32);
  CHECK(std::string(train->format()) == "cifar10");
  Image image;
  int wrong = 0;
  for (int64_t r = 0; r < 18; ++r) {
    const Dataset& dataset = r < 15 ? *train : *test;
    const int64_t index = r < 15 ? r : r - 15;
    CHECK(dataset.label(index) == r % 10);
    dataset.read(index, image);
    REQUIRE(image.pixels.size() == 3072);
    for (int i = 0; i < 1024; ++i)
      for (int c = 0; c < 3; ++c) wrong += image.pixels[i * 3 + c] != cifar_value(r, i, c);
  }
  CHECK(wrong == 0);
}

TEST_CASE("CIFAR-100 uses the fine label", "[data]") {
  TempDir dir;
  write_file(dir / "train.bin", cifar_records(0, 120, 2, 100));
  DataSettings settings = settings_of("cifar100", dir.path());
  settings.classes = 100;
  const auto train = open_dataset(settings, Split::kTrain);
  CHECK(train->size() == 120);
  CHECK(train->classes() == 100);
  CHECK(train->label(119) == 19);
  CHECK(train->label(99) == 99);
  Image image;
  train->read(119, image);
  CHECK(image.pixels[3 * 1023 + 2] == cifar_value(119, 1023, 2));
}

TEST_CASE("A damaged CIFAR folder names file, found and expected", "[data]") {
  TempDir dir;
  write_cifar10(dir.path(), 2);
  DataSettings settings = settings_of("cifar10", dir.path());
  const auto message = [&](Split split = Split::kTrain) {
    return message_of<DataError>([&] { open_dataset(settings, split); });
  };
  CHECK(message().empty());
  const fs::path third = dir / "data_batch_3.bin";
  SECTION("wrong length") {
    Bytes bytes = read_bytes(third);
    bytes.pop_back();
    write_file(third, bytes);
    CHECK(holds(message(), {third.string(), "6145 bytes", "3073", "30730000"}));
    CHECK(message(Split::kTest).empty());
  }
  SECTION("empty") {
    write_file(third, {});
    CHECK(holds(message(), {third.string(), "0 bytes", "3073"}));
  }
  SECTION("missing") {
    fs::remove(third);
    CHECK(holds(message(), {third.string(), "missing", "data_batch_1.bin to data_batch_5.bin"}));
  }
  SECTION("a folder in its place") {
    fs::remove(third);
    fs::create_directory(third);
    CHECK(holds(message(), {third.string(), "directory"}));
  }
  SECTION("label above the model's classes") {
    Bytes bytes = read_bytes(third);
    bytes[3073] = 11;
    write_file(third, bytes);
    CHECK(holds(message(),
                {"label 11 in " + third.string() + ", but model.classes is 10", "image 1"}));
    settings.classes = 1000;
    CHECK(holds(message(), {"label 11 in " + third.string(), "cifar10 ends at 9"}));
  }
  SECTION("a model with fewer classes") {
    settings.classes = 5;
    CHECK(holds(message(), {"label 5 in ", "but model.classes is 5"}));
  }
}

TEST_CASE("Folders and formats that do not exist are named", "[data]") {
  DataSettings settings = settings_of("cifar10", "/nonexistent/cifar");
  const auto open = [&] { open_dataset(settings, Split::kTrain); };
  CHECK(holds(message_of<DataError>(open), {"/nonexistent/cifar", "not a directory"}));
  settings.dir.clear();
  CHECK(holds(message_of<DataError>(open), {"data.dir is empty"}));
  settings.format = "cifar11";
  CHECK(holds(message_of<ConfigError>(open),
              {"cifar11", "cifar10, cifar100, idx, image_folder, shards, synthetic"}));
}

}  // namespace ab::test
