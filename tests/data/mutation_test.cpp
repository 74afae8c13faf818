// Two thousand damaged files of every kind: an error that names the file, or a correct read of what
// is there; never a crash, never memory that the file cannot account for (run under
// AddressSanitizer too).
#include "data/decode.h"
#include "engine/error.h"
#include "kernels/philox.h"
#include "tests/data/fixtures.h"
#include "tests/data/pictures.h"

namespace ab::test {

namespace {

constexpr int kMutations = 2000;

// One to three bytes overwritten, or the end cut off (every eighth time).
Bytes mutated(const Bytes& bytes, int number) {
  Bytes result = bytes;
  for (uint64_t i = 0; i <= static_cast<uint64_t>(number % 3); ++i) {
    const Random4 random = philox(99, i, static_cast<uint64_t>(number));
    // Half of the hits go to the first 64 bytes, where the headers are.
    const size_t range = random.z % 2 ? result.size() : std::min<size_t>(result.size(), 64);
    result[random.x % range] = static_cast<uint8_t>(random.y);
  }
  if (number % 8 == 7)
    result.resize(philox(98, 0, static_cast<uint64_t>(number)).x % result.size());
  return result;
}

// Opens the dataset and reads all of it; true when it was refused with the file's name.
bool refused(const DataSettings& settings, const std::string& file, int expected_bytes) {
  try {
    const auto dataset = open_dataset(settings, Split::kTrain);
    Image image;
    for (int64_t i = 0; i < dataset->size(); ++i) {
      dataset->read(i, image);
      REQUIRE(dataset->label(i) >= 0);
      REQUIRE(dataset->label(i) < settings.classes);
      if (expected_bytes > 0) REQUIRE(image.pixels.size() == static_cast<size_t>(expected_bytes));
    }
    return false;
  } catch (const DataError& error) {
    REQUIRE(holds(error.what(), {file}));
    return true;
  }
}

}  // namespace

TEST_CASE("Mutated CIFAR files", "[data]") {
  TempDir dir;
  write_cifar10(dir.path(), 1);
  const Bytes good = read_bytes(dir / "data_batch_2.bin");
  const DataSettings settings = settings_of("cifar10", dir.path());
  int errors = 0;
  for (int i = 0; i < kMutations; ++i) {
    write_file(dir / "data_batch_2.bin", mutated(good, i));
    errors += refused(settings, "data_batch_2.bin", 3072);
  }
  // Every cut file is refused: an eighth. A label hit (one byte in 64 at most) adds a few.
  CHECK(errors >= kMutations / 8);
  CHECK(errors < kMutations / 4);
}

TEST_CASE("Mutated gzipped IDX files", "[data]") {
  TempDir dir;
  Bytes images, labels;
  append_u32(images, 0x803);
  for (const uint32_t extent : {9u, 6u, 5u}) append_u32(images, extent);
  for (int i = 0; i < 9 * 30; ++i) images.push_back(static_cast<uint8_t>(i * i));
  append_u32(labels, 0x801);
  append_u32(labels, 9);
  for (uint8_t i = 0; i < 9; ++i) labels.push_back(i);
  const char* names[] = {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"};
  const Bytes* contents[] = {&images, &labels};
  const DataSettings settings = settings_of("idx", dir.path());
  for (int which = 0; which < 2; ++which) {
    for (int other = 0; other < 2; ++other) write_gz(dir / names[other], *contents[other]);
    REQUIRE_FALSE(refused(settings, "", 30));
    const Bytes good = read_bytes(dir / names[which]);
    int errors = 0;
    for (int i = 0; i < kMutations; ++i) {
      write_file(dir / names[which], mutated(good, i));
      errors += refused(settings, names[which], 30);
    }
    // The checksum leaves only the few header bytes (time stamp, system) free to change.
    CHECK(errors > kMutations / 2);
  }
  // Without gzip there is no checksum: a read that succeeds has the sizes of the files.
  for (int which = 0; which < 2; ++which) {
    for (const char* name : names) fs::remove(dir / name);
    write_gz(dir / names[1 - which], *contents[1 - which]);
    const std::string plain = fs::path(names[which]).stem().string();  // without .gz
    int errors = 0;
    for (int i = 0; i < kMutations; ++i) {
      write_file(dir / plain, mutated(*contents[which], i));
      errors += refused(settings, plain, 0);
    }
    CHECK(errors > kMutations / 8);
    fs::remove(dir / plain);
  }
}

TEST_CASE("Mutated JPEG and PNG files", "[data]") {
  const bool png = GENERATE(false, true);
  const Bytes good = png ? png_of(gradient(24, 20, 3)) : jpeg_of(gradient(24, 20, 3));
  int errors = 0;
  Image image;
  for (int i = 0; i < kMutations; ++i) {
    try {
      decode_image(mutated(good, i), "mutated", image);
      REQUIRE(image.channels == 3);
      REQUIRE(image.pixels.size() == static_cast<size_t>(image.height) * image.width * 3);
    } catch (const DataError& error) {
      REQUIRE(holds(error.what(), {"mutated: "}));
      ++errors;
    }
  }
  CHECK(errors >= kMutations / 8);
  CHECK(errors < kMutations);
}

}  // namespace ab::test
