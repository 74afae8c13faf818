// Image folders: classes and labels, and which folders are refused by name.
#include "engine/error.h"
#include "tests/data/fixtures.h"
#include "tests/data/pictures.h"

namespace ab::test {

namespace {

std::string folder_error(const fs::path& dir, Split split = Split::kTrain, int classes = 3) {
  const DataSettings settings = settings_of("image_folder", dir, classes);
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
  const auto train = open_dataset(settings_of("image_folder", dir.path(), 3), Split::kTrain);
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
  const auto val = open_dataset(settings_of("image_folder", dir.path(), 3), Split::kTest);
  REQUIRE(val->size() == 1);
  CHECK(val->label(0) == 1);
}

TEST_CASE("The test split is val, or test", "[data]") {
  TempDir dir;
  write_file(dir / "train/a/1.png", png_of(gradient(4, 4, 3)));
  CHECK(
      holds(folder_error(dir.path(), Split::kTest), {dir.path().string(), "neither val nor test"}));
  write_file(dir / "test/a/2.png", png_of(gradient(4, 4, 3)));
  CHECK(folder_error(dir.path(), Split::kTest, 1).empty());
  fs::remove_all(dir / "train");
  CHECK(folder_error(dir.path(), Split::kTest, 1).empty());
  CHECK(holds(folder_error(dir.path()), {(dir / "train").string(), "missing"}));
}

TEST_CASE("Folders that cannot be labelled are named", "[data]") {
  TempDir dir;
  fs::create_directories(dir / "train");
  CHECK(holds(folder_error(dir.path()), {(dir / "train").string(), "no class folder"}));
  for (const char* name : {"a", "b", "c"})
    write_file(dir / ("train/" + std::string(name) + "/1.png"), png_of(gradient(4, 4, 3)));
  fs::create_directories(dir / "train/empty");
  CHECK(holds(folder_error(dir.path(), Split::kTrain, 4),
              {"class folder " + (dir / "train/empty").string(), "no image"}));
  fs::remove_all(dir / "train/empty");
  write_file(dir / "val/d/1.png", png_of(gradient(4, 4, 3)));
  CHECK(holds(folder_error(dir.path(), Split::kTest), {(dir / "val/d").string(), "does not have"}));
}

TEST_CASE("The number of classes is the model's", "[data]") {
  TempDir dir;
  for (const char* name : {"a", "b", "c"})
    write_file(dir / ("train/" + std::string(name) + "/1.png"), png_of(gradient(4, 4, 3)));
  CHECK(folder_error(dir.path(), Split::kTrain, 3).empty());
  CHECK(holds(folder_error(dir.path(), Split::kTrain, 2),
              {"3 class folders", "model.classes is 2", "of 3 would work"}));
  CHECK(holds(folder_error(dir.path(), Split::kTrain, 1000),
              {"3 class folders", "model.classes is 1000", "of 3 would work", "classes.txt"}));
}

TEST_CASE("A file of class names gives the labels, for folders that are there or not", "[data]") {
  TempDir dir;
  const std::string file = GENERATE("classes.txt", "LOC_synset_mapping.txt");
  const auto list = [&](const std::string& text) {
    write_file(dir / file, Bytes(text.begin(), text.end()));
  };
  for (const char* name : {"n02", "n01"})
    for (const char* split : {"train", "val"})
      write_file(dir / (std::string(split) + "/" + name + "/1.png"), png_of(gradient(4, 4, 3)));
  list("n03 stork\nn01 tench, Tinca tinca\r\n\n n02\tgoldfish\nn00");
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto images = open_dataset(settings_of("image_folder", dir.path(), 4), split);
    REQUIRE(images->size() == 2);
    CHECK(images->classes() == 4);
    CHECK(images->label(0) == 1);  // n01
    CHECK(images->label(1) == 2);  // n02
    Image image;
    images->read(1, image);
    CHECK(image.height == 4);
  }
  CHECK(holds(folder_error(dir.path(), Split::kTrain, 2),
              {(dir / file).string() + " lists 4 classes", "model.classes is 2"}));
  list("n03\nn01\nn03\n");
  CHECK(holds(folder_error(dir.path(), Split::kTrain, 3),
              {(dir / file).string(), "class n03 is entry 1 and entry 3"}));
  list("n03\nn01\nn04\n");
  CHECK(holds(folder_error(dir.path(), Split::kTrain, 3),
              {(dir / "train/n02").string(), file, "does not have"}));
}

}  // namespace ab::test
