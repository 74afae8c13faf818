// CIFAR-10 and CIFAR-100, the published binary versions (A. Krizhevsky, "Learning Multiple Layers
// of Features from Tiny Images", 2009; file layout: www.cs.toronto.edu/~kriz/cifar.html).
//   CIFAR-10  record: label, 1024 red, 1024 green, 1024 blue                3,073 bytes
//             data_batch_1.bin ... data_batch_5.bin, test_batch.bin
//   CIFAR-100 record: coarse label, fine label, the same three planes       3,074 bytes
//             train.bin, test.bin; the fine label is used
// The files are mapped, so opening costs one pass over the labels and reading one pass over the
// image.
#include <string>
#include <vector>

#include "data/formats.h"
#include "data/mapped_file.h"
#include "engine/error.h"

namespace ab {

namespace fs = std::filesystem;

namespace {

constexpr int kSide = 32, kChannels = 3, kPlane = kSide * kSide;

struct Layout {
  const char* format;
  const char* folder;  // inside the published archive
  int labels;          // label bytes before the pixels; the last one counts
  int classes;
  int64_t published;  // images in one training file
  std::vector<const char*> train, test;

  int64_t record() const { return labels + kChannels * kPlane; }
};

const Layout& layout_of(const std::string& format) {
  static const Layout kCifar10 = {"cifar10",
                                  "cifar-10-batches-bin",
                                  1,
                                  10,
                                  10000,
                                  {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                   "data_batch_4.bin", "data_batch_5.bin"},
                                  {"test_batch.bin"}};
  static const Layout kCifar100 = {"cifar100", "cifar-100-binary", 2,           100,
                                   50000,      {"train.bin"},      {"test.bin"}};
  return format == "cifar100" ? kCifar100 : kCifar10;
}

class Cifar final : public Dataset {
 public:
  Cifar(const Layout& layout, std::vector<MappedFile> files)
      : layout_(layout), files_(std::move(files)) {
    for (const MappedFile& file : files_) {
      size_ += static_cast<int64_t>(file.bytes().size()) / layout_.record();
      ends_.push_back(size_);
    }
  }

  int64_t size() const override { return size_; }
  int classes() const override { return layout_.classes; }
  int label(int64_t index) const override { return record(index)[layout_.labels - 1]; }
  int channels() const override { return kChannels; }
  int height() const override { return kSide; }
  int width() const override { return kSide; }
  const char* format() const override { return layout_.format; }

  void read(int64_t index, Image& image) const override {
    image.height = image.width = kSide;
    image.channels = kChannels;
    image.pixels.resize(kChannels * kPlane);
    const uint8_t* planes = record(index) + layout_.labels;
    uint8_t* out = image.pixels.data();
    for (int i = 0; i < kPlane; ++i)
      for (int c = 0; c < kChannels; ++c) out[i * kChannels + c] = planes[c * kPlane + i];
  }

 private:
  const uint8_t* record(int64_t index) const {
    size_t file = 0;
    while (index >= ends_[file]) ++file;
    const int64_t first = file == 0 ? 0 : ends_[file - 1];
    return files_[file].bytes().data() + (index - first) * layout_.record();
  }

  const Layout& layout_;
  std::vector<MappedFile> files_;
  std::vector<int64_t> ends_;  // images up to and including each file
  int64_t size_ = 0;
};

void check_file(const MappedFile& file, const Layout& layout, const DataSettings& settings) {
  const int64_t bytes = static_cast<int64_t>(file.bytes().size()), record = layout.record();
  if (bytes == 0 || bytes % record != 0)
    throw DataError(file.path().string() + " has " + std::to_string(bytes) +
                    " bytes; expected whole records of " + std::to_string(record) + " bytes (" +
                    layout.format + " as published: " + std::to_string(layout.published * record) +
                    (settings.format == "cifar100" ? " for train.bin)" : ")") +
                    "; copy or unpack the file again");
  for (int64_t i = 0; i < bytes / record; ++i) {
    const int label = file.bytes()[static_cast<size_t>(i * record + layout.labels - 1)];
    check_label(label, settings, file.path(), i);
    if (label >= layout.classes)
      throw DataError("label " + std::to_string(label) + " in " + file.path().string() + ", but " +
                      layout.format + " ends at " + std::to_string(layout.classes - 1) +
                      " (image " + std::to_string(i) + ")");
  }
}

}  // namespace

std::unique_ptr<Dataset> open_cifar(const DataSettings& settings, Split split) {
  const Layout& layout = layout_of(settings.format);
  const auto& names = split == Split::kTrain ? layout.train : layout.test;
  fs::path dir = checked_dir(settings);
  if (!there(dir / names[0]) && there(dir / layout.folder)) dir /= layout.folder;
  std::vector<MappedFile> files;
  for (const char* name : names) {
    if (!there(dir / name))
      throw DataError((dir / name).string() + " is missing; " + layout.format + " needs " +
                      names.front() + (names.size() > 1 ? std::string(" to ") + names.back() : "") +
                      " of the binary version in data.dir or in its subfolder " + layout.folder);
    files.emplace_back(dir / name);
    check_file(files.back(), layout, settings);
  }
  return std::make_unique<Cifar>(layout, std::move(files));
}

}  // namespace ab
