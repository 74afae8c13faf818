// IDX, the file layout of MNIST (LeCun, Cortes, Burges: yann.lecun.com/exdb/mnist), plain or
// gzipped.
//   images: magic 0x00000803, count, height, width (big-endian u32), then count*height*width bytes
//   labels: magic 0x00000801, count, then count bytes
// Names: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-... for the test split; each plain
// or with .gz. Both files are held in memory. What a header claims is compared with what the file
// can hold before memory is taken: a gzipped byte expands to at most 1,032.
#include <zlib.h>

#include <memory>
#include <vector>

#include "data/formats.h"
#include "engine/error.h"

namespace ab {

namespace fs = std::filesystem;

namespace {

constexpr uint32_t kImagesMagic = 0x803, kLabelsMagic = 0x801;
constexpr uint64_t kMaxExpansion = 1032;  // of deflate: 258 bytes from two bits
constexpr uint64_t kMaxSide = 4096;

struct IdxFile {
  uint64_t count = 0, height = 1, width = 1;
  std::vector<uint8_t> values;
};

// zlib reads plain and gzipped files through the same calls.
class GzReader {
 public:
  explicit GzReader(const fs::path& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (!file_) throw DataError("cannot open " + path.string());
    gzbuffer(file_, 1 << 18);
  }
  ~GzReader() { gzclose(file_); }
  GzReader(const GzReader&) = delete;

  // Bytes read; fewer than asked only at the end of the file. A damaged stream is an error.
  uint64_t read(uint8_t* to, uint64_t bytes) {
    uint64_t done = 0;
    while (done < bytes) {
      const unsigned part = static_cast<unsigned>(std::min<uint64_t>(bytes - done, 1u << 30));
      const int got = gzread(file_, to + done, part);
      int code = Z_OK;
      const char* reason = gzerror(file_, &code);
      if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
        throw DataError(path_.string() + " is damaged or cut short after " +
                        std::to_string(done + static_cast<uint64_t>(std::max(got, 0))) +
                        " bytes of this read: " + reason);
      if (got == 0) break;
      done += static_cast<uint64_t>(got);
    }
    return done;
  }
  uint32_t read_u32() {
    uint8_t b[4] = {};
    if (read(b, 4) != 4) throw DataError(path_.string() + " ends inside its IDX header");
    return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
  }

 private:
  fs::path path_;
  gzFile file_;
};

std::string hex(uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", value);
  return text;
}

IdxFile read_idx(const fs::path& path, uint32_t magic) {
  GzReader reader(path);
  const uint32_t found = reader.read_u32();
  if (found != magic)
    throw DataError(path.string() + " starts with " + hex(found) + "; expected " + hex(magic) +
                    " (IDX, unsigned bytes, " + std::to_string(magic & 0xff) +
                    " dimensions); is it another file under this name?");
  IdxFile idx;
  idx.count = reader.read_u32();
  uint64_t header = 8;
  if (magic == kImagesMagic) {
    idx.height = reader.read_u32();
    idx.width = reader.read_u32();
    header = 16;
  }
  const std::string claim = path.string() + " claims " + std::to_string(idx.count) + " x " +
                            std::to_string(idx.height) + " x " + std::to_string(idx.width) +
                            " bytes";
  if (idx.count == 0 || idx.height - 1 >= kMaxSide || idx.width - 1 >= kMaxSide)
    throw DataError(claim + "; expected at least one image with sides of 1 to " +
                    std::to_string(kMaxSide));
  const uint64_t expected = idx.count * idx.height * idx.width;  // below 2^56
  const uint64_t stored = fs::file_size(path);
  const bool packed = path.extension() == ".gz";
  if (header + expected > stored * (packed ? kMaxExpansion : 1))
    throw DataError(claim + ", but the file holds " + std::to_string(stored) +
                    (packed ? " packed bytes; it is cut short or damaged"
                            : "; expected " + std::to_string(header + expected)));
  idx.values.resize(expected);
  const uint64_t got = reader.read(idx.values.data(), expected);
  uint8_t extra = 0;
  if (got != expected || reader.read(&extra, 1) != 0)
    throw DataError(claim + ", but " + (got != expected ? std::to_string(got) : "more") +
                    " follow the header");
  return idx;
}

fs::path find_idx(const fs::path& dir, const std::string& name) {
  for (const char* ending : {"", ".gz"})
    if (there(dir / (name + ending))) return dir / (name + ending);
  throw DataError((dir / name).string() +
                  " is missing, with and without .gz; data.dir (--data DIR) needs images and "
                  "labels of train and t10k");
}

class Idx final : public Dataset {
 public:
  Idx(IdxFile images, IdxFile labels)
      : images_(std::move(images)), labels_(std::move(labels.values)) {
    for (const uint8_t label : labels_) classes_ = std::max(classes_, label + 1);
  }

  int64_t size() const override { return static_cast<int64_t>(images_.count); }
  int classes() const override { return classes_; }
  int label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  int channels() const override { return 1; }
  int height() const override { return static_cast<int>(images_.height); }
  int width() const override { return static_cast<int>(images_.width); }
  const char* format() const override { return "idx"; }

  void read(int64_t index, Image& image) const override {
    image.height = height();
    image.width = width();
    image.channels = 1;
    const int64_t bytes = int64_t{image.height} * image.width;
    const auto from = images_.values.begin() + index * bytes;
    image.pixels.assign(from, from + bytes);
  }

 private:
  IdxFile images_;
  std::vector<uint8_t> labels_;
  int classes_ = 0;
};

}  // namespace

std::unique_ptr<Dataset> open_idx(const DataSettings& settings, Split split) {
  const fs::path dir = checked_dir(settings);
  const std::string stem = split == Split::kTrain ? "train" : "t10k";
  const fs::path image_path = find_idx(dir, stem + "-images-idx3-ubyte");
  const fs::path label_path = find_idx(dir, stem + "-labels-idx1-ubyte");
  IdxFile labels = read_idx(label_path, kLabelsMagic);
  IdxFile images = read_idx(image_path, kImagesMagic);
  if (images.count != labels.count)
    throw DataError(image_path.string() + " holds " + std::to_string(images.count) +
                    " images, but " + label_path.string() + " " + std::to_string(labels.count) +
                    " labels; they must agree");
  for (size_t i = 0; i < labels.values.size(); ++i)
    check_label(labels.values[i], settings, label_path, static_cast<int64_t>(i));
  return std::make_unique<Idx>(std::move(images), std::move(labels));
}

}  // namespace ab
