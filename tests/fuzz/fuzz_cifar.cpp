// One of CIFAR-10's five training files; the others are as they should be.
#include "data/dataset.h"
#include "engine/error.h"
#include "tests/fuzz/target.h"

namespace ab::fuzz {
namespace {

Bytes records(int count) {
  Bytes bytes;
  for (int r = 0; r < count; ++r) {
    bytes.push_back(static_cast<uint8_t>(r % 10));
    for (int i = 0; i < 3072; ++i) bytes.push_back(static_cast<uint8_t>(r * 31 + i * 7));
  }
  return bytes;
}

const Scratch& scratch() {
  static const Scratch folder;
  static const bool written = [] {
    for (const char* name : {"1", "3", "4", "5"})
      folder.write("data_batch_" + std::string(name) + ".bin", records(1));
    folder.write("test_batch.bin", records(1));
    return true;
  }();
  (void)written;
  return folder;
}

}  // namespace

bool read_untrusted(std::span<const uint8_t> bytes) {
  scratch().write("data_batch_2.bin", bytes);
  DataSettings settings;
  settings.dir = scratch().path().string();
  try {
    const auto dataset = open_dataset(settings, Split::kTrain);
    Image image;
    for (int64_t i = 0; i < dataset->size(); ++i) {
      dataset->read(i, image);
      ensure(dataset->label(i) >= 0 && dataset->label(i) < 10, "a label out of range");
      ensure(image.pixels.size() == 3072, "an image of another size");
    }
    return true;
  } catch (const DataError& error) {
    return refused(error, "data_batch_2.bin");
  }
}

std::vector<Bytes> seeds() {
  return {records(1), records(3)};
}

}  // namespace ab::fuzz
