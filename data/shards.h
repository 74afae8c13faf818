// Shards: images decoded and scaled once, to be read without decoding (tools/pack_images writes
// them, data.format = shards reads them). All numbers are little-endian.
//   DIR/train-00000.shard, train-00001.shard, ...; val-00000.shard, ...
//   header, 64 bytes
//      0  8 bytes  "ABSHARD\n"          32  u64  offset of the index
//      8  u32  version, 1               40  u64  bytes of the whole file
//     12  u32  encoding, 0: raw RGB8    48  u64  images of the split in the shards before this one
//     16  u32  number of this shard     56  u32  classes
//     20  u32  shards of the split      60  u32  CRC-32 of bytes 0 to 59, the index and the names
//     24  u64  images in this shard
//   pixels  (height, width, 3) bytes of each image, one after the other
//   index   32 bytes per image: u64 offset, u32 height, u32 width, u32 label, u32 CRC-32 of the
//           pixels, 8 bytes of zero
//   names   of the classes by label, each ended by a newline, to the end of the file
// Raw: a photograph of 256 x 341 pixels takes 262 kB and no time to unpack. Images keep the order
// of the folder they come from, so an epoch's order is the folder's too.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace ab {

struct ShardHeader {
  char magic[8] = {'A', 'B', 'S', 'H', 'A', 'R', 'D', '\n'};
  uint32_t version = 1, encoding = 0, shard = 0, shards = 0;
  uint64_t images = 0, index_offset = 0, file_bytes = 0, first_image = 0;
  uint32_t classes = 0, crc = 0;
};
static_assert(sizeof(ShardHeader) == 64);

struct ShardEntry {
  uint64_t offset = 0;
  uint32_t height = 0, width = 0, label = 0, crc = 0;
  uint64_t zero = 0;
};
static_assert(sizeof(ShardEntry) == 32);

// "train-00003.shard"
std::string shard_name(Split split, size_t shard);
// Of a header without its last field, an index and the names.
uint32_t shard_crc(const ShardHeader& header, const ShardEntry* index, const std::string& names);

// Writes a split. Files get their names in finish(), which must be called: half a split is no data
// set. Throws DataError (a file cannot be written).
class ShardWriter {
 public:
  ShardWriter(std::filesystem::path dir, Split split, const std::vector<std::string>& classes,
              int64_t shard_bytes);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;

  void add(const Image& image, int label);  // three channels
  void finish();
  size_t shards() const { return shards_.size(); }
  int64_t images() const { return images_; }
  int64_t bytes() const { return bytes_; }

 private:
  struct Shard {
    std::filesystem::path temporary;
    std::vector<ShardEntry> index;
    uint64_t end = sizeof(ShardHeader), first_image = 0;
  };
  void write(const Shard& shard, uint64_t offset, const void* data, size_t bytes);

  std::filesystem::path dir_;
  Split split_;
  std::string names_;
  uint32_t classes_;
  int64_t shard_bytes_, images_ = 0, bytes_ = 0;
  std::vector<Shard> shards_;
  int file_ = -1;  // of the last shard
};

}  // namespace ab
