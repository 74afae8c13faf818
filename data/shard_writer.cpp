#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "data/shards.h"
#include "engine/error.h"

namespace ab {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little,
              "shards are read and written as they lie");

namespace {

[[noreturn]] void fail(const fs::path& path) {
  throw DataError("cannot write " + path.string() + ": " + std::strerror(errno));
}

}  // namespace

std::string shard_name(Split split, size_t shard) {
  char text[40];
  std::snprintf(text, sizeof text, "%s-%05zu.shard", split == Split::kTrain ? "train" : "val",
                shard);
  return text;
}

uint32_t shard_crc(const ShardHeader& header, const ShardEntry* index, const std::string& names) {
  uLong crc = crc32(0, reinterpret_cast<const Bytef*>(&header), offsetof(ShardHeader, crc));
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(index), header.images * sizeof(ShardEntry));
  return static_cast<uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(names.data()), names.size()));
}

ShardWriter::ShardWriter(fs::path dir, Split split, const std::vector<std::string>& classes,
                         int64_t shard_bytes)
    : dir_(std::move(dir)),
      split_(split),
      classes_(static_cast<uint32_t>(classes.size())),
      shard_bytes_(shard_bytes) {
  for (const std::string& name : classes) names_ += name + "\n";
}

ShardWriter::~ShardWriter() {
  if (file_ >= 0) close(file_);
  std::error_code ignored;
  for (const Shard& shard : shards_) fs::remove(shard.temporary, ignored);
}

void ShardWriter::write(const Shard& shard, uint64_t offset, const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = pwrite(file_, from, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail(shard.temporary);
    from += written;
    offset += static_cast<uint64_t>(written);
    bytes -= static_cast<size_t>(written);
  }
}

void ShardWriter::add(const Image& image, int label) {
  if (shards_.empty() || shards_.back().end >= static_cast<uint64_t>(shard_bytes_)) {
    if (file_ >= 0 && close(file_) != 0) fail(shards_.back().temporary);
    Shard shard;
    shard.temporary = dir_ / (shard_name(split_, shards_.size()) + ".part");
    shard.first_image = static_cast<uint64_t>(images_);
    shards_.push_back(shard);
    file_ = open(shard.temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file_ < 0) fail(shard.temporary);
  }
  Shard& shard = shards_.back();
  ShardEntry entry;
  entry.offset = shard.end;
  entry.height = static_cast<uint32_t>(image.height);
  entry.width = static_cast<uint32_t>(image.width);
  entry.label = static_cast<uint32_t>(label);
  entry.crc = static_cast<uint32_t>(crc32_z(0, image.pixels.data(), image.pixels.size()));
  write(shard, shard.end, image.pixels.data(), image.pixels.size());
  shard.end += image.pixels.size();
  shard.index.push_back(entry);
  ++images_;
}

void ShardWriter::finish() {
  if (file_ >= 0) close(file_);
  for (size_t i = 0; i < shards_.size(); ++i) {
    const Shard& shard = shards_[i];
    ShardHeader header;
    header.shard = static_cast<uint32_t>(i);
    header.shards = static_cast<uint32_t>(shards_.size());
    header.images = shard.index.size();
    header.index_offset = shard.end;
    header.first_image = shard.first_image;
    header.classes = classes_;
    const size_t index_bytes = shard.index.size() * sizeof(ShardEntry);
    header.file_bytes = shard.end + index_bytes + names_.size();
    header.crc = shard_crc(header, shard.index.data(), names_);
    file_ = open(shard.temporary.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ < 0) fail(shard.temporary);
    write(shard, shard.end, shard.index.data(), index_bytes);
    write(shard, shard.end + index_bytes, names_.data(), names_.size());
    write(shard, 0, &header, sizeof header);
    if (fsync(file_) != 0 || close(file_) != 0) fail(shard.temporary);
    file_ = -1;
    bytes_ += static_cast<int64_t>(header.file_bytes);
  }
  for (size_t i = 0; i < shards_.size(); ++i)
    if (std::rename(shards_[i].temporary.c_str(), (dir_ / shard_name(split_, i)).c_str()) != 0)
      fail(dir_ / shard_name(split_, i));
}

}  // namespace ab
