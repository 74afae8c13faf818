// IDX images, plain and gzipped, told apart by the first two bytes as gzip's magic does; the labels
// are as they should be.
#include <zlib.h>

#include "data/dataset.h"
#include "engine/error.h"
#include "tests/fuzz/target.h"

namespace ab::fuzz {
namespace {

constexpr int kImages = 9, kHeight = 6, kWidth = 5;

void append_u32(Bytes& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<uint8_t>(value >> shift));
}

Bytes images() {
  Bytes bytes;
  append_u32(bytes, 0x803);
  for (const uint32_t extent : {kImages, kHeight, kWidth}) append_u32(bytes, extent);
  for (int i = 0; i < kImages * kHeight * kWidth; ++i) bytes.push_back(static_cast<uint8_t>(i * i));
  return bytes;
}

const Scratch& scratch() {
  static const Scratch folder;
  static const bool written = [] {
    Bytes labels;
    append_u32(labels, 0x801);
    append_u32(labels, kImages);
    for (uint8_t i = 0; i < kImages; ++i) labels.push_back(i);
    folder.write("train-labels-idx1-ubyte", labels);
    return true;
  }();
  (void)written;
  return folder;
}

}  // namespace

bool read_untrusted(std::span<const uint8_t> bytes) {
  const bool gzipped = bytes.size() > 1 && bytes[0] == 0x1f && bytes[1] == 0x8b;
  const std::string plain = "train-images-idx3-ubyte";
  for (const char* suffix : {"", ".gz"})
    std::filesystem::remove(scratch().path() / (plain + suffix));
  scratch().write(plain + (gzipped ? ".gz" : ""), bytes);
  DataSettings settings;
  settings.format = "idx";
  settings.dir = scratch().path().string();
  try {
    const auto dataset = open_dataset(settings, Split::kTrain);
    ensure(dataset->size() == kImages, "another number of images than labels");
    Image image;
    for (int64_t i = 0; i < dataset->size(); ++i) dataset->read(i, image);
    return true;
  } catch (const DataError& error) {
    return refused(error, plain);
  }
}

std::vector<Bytes> seeds() {
  const std::string path = (scratch().path() / "seed.gz").string();
  const Bytes plain = images();
  gzFile file = gzopen(path.c_str(), "wb9");
  gzwrite(file, plain.data(), static_cast<unsigned>(plain.size()));
  gzclose(file);
  std::ifstream zipped(path, std::ios::binary);
  return {plain, Bytes(std::istreambuf_iterator<char>(zipped), {})};
}

}  // namespace ab::fuzz
