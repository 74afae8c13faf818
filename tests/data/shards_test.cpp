// Shards: what was packed comes back in the folder's order; damage of every kind is named.
#include "data/shards.h"

#include <cstring>

#include "data/loader.h"
#include "engine/error.h"
#include "kernels/philox.h"
#include "tests/data/fixtures.h"
#include "tests/data/pictures.h"

namespace ab::test {

namespace {

// Three classes, 12 pictures of sizes that differ, as PNG files and as shards of about 1 KB.
class Packed {
 public:
  Packed() {
    for (int i = 0; i < 12; ++i)
      write_file(dir_ / ("folder/train/" + std::string(1, static_cast<char>('a' + i % 3)) + "/" +
                         std::to_string(100 + i) + ".png"),
                 png_of(gradient(6 + i, 17 - i, 3)));
    fs::create_directories(shards());
    const auto images = open_dataset(settings("image_folder"), Split::kTrain);
    ShardWriter writer(shards(), Split::kTrain, images->class_names(), 1000);
    Image image;
    for (int64_t i = 0; i < images->size(); ++i) {
      images->read(i, image);
      writer.add(image, images->label(i));
    }
    CHECK(!fs::exists(file(0)));  // not before all is written
    writer.finish();
    count_ = writer.shards();
  }

  DataSettings settings(const std::string& format) const {
    DataSettings settings = settings_of(format, format == "shards" ? shards() : dir_ / "folder", 3);
    settings.augment = "imagenet";
    settings.image = 8;
    return settings;
  }
  fs::path shards() const { return dir_ / "shards"; }
  fs::path file(size_t i) const { return shards() / shard_name(Split::kTrain, i); }
  size_t count() const { return count_; }

 private:
  TempDir dir_;
  size_t count_ = 0;
};

// Opens all and reads all: the error's text, or "".
std::string problem(const Packed& packed) {
  return message_of<DataError>([&] {
    const auto images = open_dataset(packed.settings("shards"), Split::kTrain);
    Image image;
    for (int64_t i = 0; i < images->size(); ++i) images->read(i, image);
  });
}

template <class T>
Bytes with(Bytes bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
  return bytes;
}

}  // namespace

TEST_CASE("Shards hold the folder's images, labels and order", "[data]") {
  const Packed packed;
  const auto folder = open_dataset(packed.settings("image_folder"), Split::kTrain);
  const auto shards = open_dataset(packed.settings("shards"), Split::kTrain);
  CHECK(packed.count() >= 4);
  REQUIRE(shards->size() == 12);
  CHECK(shards->classes() == 3);
  Image expected, found;
  for (int64_t i = 0; i < 12; ++i) {
    folder->read(i, expected);
    shards->read(i, found);
    CHECK(found.pixels == expected.pixels);
    CHECK((found.height == expected.height && found.width == expected.width));
    CHECK(shards->label(i) == folder->label(i));
  }
  // Through the loader too: batches are the same bytes, with other ranks and workers.
  const DataSettings alone = packed.settings("image_folder");
  DataSettings two = packed.settings("shards");
  two.local_batch = 2;
  two.workers = 3;
  Loader whole(*folder, alone, Split::kTrain, 0, 1);
  Loader first(*shards, two, Split::kTrain, 0, 2), second(*shards, two, Split::kTrain, 1, 2);
  for (int step = 0; step < 7; ++step) {
    const HostBatch& batch = whole.next();
    Bytes pixels = first.next().pixels;
    const HostBatch& rest = second.next();
    pixels.insert(pixels.end(), rest.pixels.begin(), rest.pixels.end());
    CHECK(pixels == batch.pixels);
    CHECK(rest.samples[1] == batch.samples[3]);
  }
}

TEST_CASE("A damaged shard is refused with its name and what was found", "[data]") {
  const Packed packed;
  CHECK(problem(packed).empty());
  const std::string name = packed.file(1).string();
  const Bytes good = read_bytes(packed.file(1));
  const auto refusal = [&](const Bytes& bytes) {
    write_file(packed.file(1), bytes);
    return problem(packed);
  };
  CHECK(holds(refusal(with(good, 0, 'X')), {name, "does not begin with ABSHARD"}));
  CHECK(holds(refusal(with(good, 8, uint32_t{2})), {name, "version 2", "version 1"}));
  CHECK(holds(refusal(with(good, 12, uint32_t{7})), {name, "encoding 7"}));
  CHECK(holds(refusal(with(good, 24, uint64_t{1} << 60)), {name, "does not fit"}));
  CHECK(holds(refusal(with(good, 32, ~uint64_t{0})), {name, "does not fit"}));
  CHECK(holds(refusal(with(good, 16, uint32_t{3})), {name, "checksum of header"}));
  CHECK(holds(refusal(with(good, 70, static_cast<uint8_t>(good[70] ^ 1))),
              {name, "checksum of image 0"}));
  CHECK(holds(refusal(Bytes(good.begin(), good.end() - 5)), {name, "cut short"}));
  CHECK(holds(refusal(Bytes(good.begin(), good.begin() + 20)), {name, "20 bytes"}));
  CHECK(holds(refusal({}), {name, "0 bytes"}));
  CHECK(holds(refusal(read_bytes(packed.file(2))), {name, "is shard 2", "expected shard 1"}));
  fs::remove(packed.file(1));
  CHECK(holds(problem(packed), {name, "missing"}));
  DataSettings more = packed.settings("shards");
  more.classes = 4;
  CHECK(holds(message_of<DataError>([&] { open_dataset(more, Split::kTrain); }), {name}));
  write_file(packed.file(1), good);
  CHECK(holds(message_of<DataError>([&] { open_dataset(more, Split::kTrain); }),
              {"has 3 classes", "model.classes is 4"}));
}

TEST_CASE("Mutated shards are refused by name, or read as they were", "[data]") {
  const Packed packed;
  const Bytes good = read_bytes(packed.file(1));
  for (uint64_t i = 0; i < 1000; ++i) {
    const Random4 random = philox(7, 0, i);
    Bytes bytes = good;
    const size_t range = random.z % 2 ? bytes.size() : 64;
    uint8_t& byte = bytes[random.x % range];
    byte = static_cast<uint8_t>(byte ^ (1 + random.y % 255));  // another value, always
    if (i % 8 == 7) bytes.resize(random.w % bytes.size());
    write_file(packed.file(1), bytes);
    REQUIRE(holds(problem(packed), {packed.file(1).string()}));
  }
}

}  // namespace ab::test
