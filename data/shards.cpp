// Reading shards: the files are mapped, header, index and names are checked when they are opened,
// an image's checksum when it is read.
#include "data/shards.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "data/formats.h"
#include "data/mapped_file.h"
#include "engine/error.h"

namespace ab {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxShardSide = 1 << 20;

// A file's header, index and names, checked.
class Shard {
 public:
  explicit Shard(const fs::path& path) : file_(path) {
    read_header();
    check_index();
  }

  const ShardHeader& header() const { return header_; }
  const std::string& names() const { return names_; }
  const fs::path& path() const { return file_.path(); }
  const ShardEntry& entry(uint64_t i) const { return index_[i]; }

  void read(uint64_t i, Image& image) const {
    const ShardEntry& e = index_[i];
    const uint8_t* pixels = file_.bytes().data() + e.offset;
    const size_t bytes = size_t{3} * e.height * e.width;
    const auto crc = static_cast<uint32_t>(crc32_z(0, pixels, bytes));
    if (crc != e.crc)
      fail("checksum of image " + std::to_string(i) + " is " + std::to_string(crc) + ", expected " +
           std::to_string(e.crc));
    image.height = static_cast<int>(e.height);
    image.width = static_cast<int>(e.width);
    image.channels = 3;
    image.pixels.assign(pixels, pixels + bytes);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(file_.path().string() + ": " + what +
                    "; copy the shard again or pack the images anew");
  }

 private:
  void read_header() {
    const uint64_t size = file_.bytes().size();
    if (size < sizeof header_)
      fail(std::to_string(size) + " bytes are shorter than a header of 64");
    std::memcpy(&header_, file_.bytes().data(), sizeof header_);
    if (std::memcmp(header_.magic, ShardHeader{}.magic, sizeof header_.magic) != 0)
      fail("does not begin with ABSHARD; it is no shard");
    if (header_.version != 1)
      fail("version " + std::to_string(header_.version) + "; this program reads version 1");
    if (header_.encoding != 0)
      fail("encoding " + std::to_string(header_.encoding) + "; known: 0, raw RGB8");
    if (header_.file_bytes != size)
      fail("has " + std::to_string(size) + " bytes, its header says " +
           std::to_string(header_.file_bytes) + ": cut short or damaged");
    if (header_.index_offset < sizeof header_ || header_.index_offset > size ||
        header_.images > (size - header_.index_offset) / sizeof(ShardEntry))
      fail("the index of " + std::to_string(header_.images) + " images at byte " +
           std::to_string(header_.index_offset) + " does not fit into the file");
  }

  void check_index() {
    const uint8_t* from = file_.bytes().data() + header_.index_offset;
    index_.resize(header_.images);
    const size_t index_bytes = index_.size() * sizeof(ShardEntry);
    if (index_bytes > 0) std::memcpy(index_.data(), from, index_bytes);
    names_.assign(reinterpret_cast<const char*>(from + index_bytes),
                  file_.bytes().size() - header_.index_offset - index_bytes);
    const uint32_t crc = shard_crc(header_, index_.data(), names_);
    if (crc != header_.crc)
      fail("checksum of header and index is " + std::to_string(crc) + ", expected " +
           std::to_string(header_.crc));
    if (static_cast<uint64_t>(std::count(names_.begin(), names_.end(), '\n')) != header_.classes)
      fail("does not name its " + std::to_string(header_.classes) + " classes");
    for (const ShardEntry& e : index_) {
      const uint64_t room = header_.index_offset;
      if (e.height == 0 || e.width == 0 || e.height > kMaxShardSide || e.width > kMaxShardSide ||
          e.offset < sizeof header_ || e.offset > room ||
          uint64_t{3} * e.height * e.width > room - e.offset || e.label >= header_.classes)
        fail("entry " + std::to_string(&e - index_.data()) + " of the index cannot be");
    }
  }

  MappedFile file_;
  ShardHeader header_;
  std::vector<ShardEntry> index_;
  std::string names_;
};

class Shards final : public Dataset {
 public:
  explicit Shards(std::vector<std::unique_ptr<Shard>> shards) : shards_(std::move(shards)) {
    for (const auto& shard : shards_) ends_.push_back(size_ += shard->header().images);
  }

  int64_t size() const override { return static_cast<int64_t>(size_); }
  int classes() const override { return static_cast<int>(shards_[0]->header().classes); }
  int label(int64_t index) const override {
    const auto [shard, place] = find(index);
    return static_cast<int>(shard->entry(place).label);
  }
  int channels() const override { return 3; }
  int height() const override { return 0; }
  int width() const override { return 0; }
  const char* format() const override { return "shards"; }

  void read(int64_t index, Image& image) const override {
    const auto [shard, place] = find(index);
    shard->read(place, image);
  }

 private:
  std::pair<const Shard*, uint64_t> find(int64_t index) const {
    const auto number = static_cast<uint64_t>(index);
    const auto end = std::upper_bound(ends_.begin(), ends_.end(), number);
    const Shard* shard = shards_[static_cast<size_t>(end - ends_.begin())].get();
    return {shard, number - shard->header().first_image};
  }

  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<uint64_t> ends_;
  uint64_t size_ = 0;
};

// That this shard goes on where the ones before it end.
void check_place(const Shard& shard, const Shard& first, size_t number, uint64_t images) {
  const ShardHeader& h = shard.header();
  if (h.shard != number || h.shards != first.header().shards || h.first_image != images)
    shard.fail("is shard " + std::to_string(h.shard) + " of " + std::to_string(h.shards) +
               " and begins with image " + std::to_string(h.first_image) + "; expected shard " +
               std::to_string(number) + " of " + std::to_string(first.header().shards) +
               " and image " + std::to_string(images));
  if (shard.names() != first.names())
    shard.fail("names other classes than " + first.path().string());
}

}  // namespace

std::unique_ptr<Dataset> open_shards(const DataSettings& settings, Split split) {
  const fs::path dir = checked_dir(settings);
  std::vector<std::unique_ptr<Shard>> shards;
  uint64_t images = 0;
  for (size_t i = 0; i == 0 || i < shards[0]->header().shards; ++i) {
    const fs::path path = dir / shard_name(split, i);
    if (!there(path))
      throw DataError(path.string() +
                      " is missing; data.dir (--data DIR) needs all shards that "
                      "pack_images wrote");
    shards.push_back(std::make_unique<Shard>(path));
    check_place(*shards.back(), *shards[0], i, images);
    images += shards.back()->header().images;
  }
  const int classes = static_cast<int>(shards[0]->header().classes);
  if (settings.classes > 0 && classes != settings.classes)
    throw DataError(shards[0]->path().string() + " has " + std::to_string(classes) +
                    " classes, but model.classes is " + std::to_string(settings.classes) + "; " +
                    std::to_string(classes) + " would work");
  return std::make_unique<Shards>(std::move(shards));
}

}  // namespace ab
