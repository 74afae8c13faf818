// safetensors: tensors by name in one file, as PyTorch's ecosystem reads and writes them.
//   u64 little-endian header length N | N bytes of JSON, padded with spaces | byte buffer
//   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
// The offsets count from the byte buffer, which the tensors fill without holes or overlaps; tensors
// are row-major; "__metadata__" maps strings to strings. Types: F32, BF16, F64, I64, I32, U8.
// Reading trusts nothing: whatever a file holds, it is read as it says or refused with a DataError
// that names the file and the fault, and no more memory is taken than the file's own size implies.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/stream.h"

namespace ab {

using Metadata = std::map<std::string, std::string>;

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;   // empty: a scalar
  uint64_t begin = 0, end = 0;  // in the byte buffer
  uint64_t bytes() const { return end - begin; }
};

// An open file whose header has been checked; data are read when asked for.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;

  const std::string& path() const { return path_; }
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }  // by offset
  const Metadata& metadata() const { return metadata_; }
  const SafetensorsEntry* find(const std::string& name) const;  // null when absent
  // The entry of that name, dtype and shape, or a DataError that says which of them is wrong.
  const SafetensorsEntry& expect(const std::string& name, DType dtype,
                                 const std::vector<int64_t>& shape) const;
  // Copies entry.bytes() bytes to `to`.
  void read(const SafetensorsEntry& entry, void* to) const;
  // The numbers of an F32 or BF16 entry.
  std::vector<float> read_floats(const SafetensorsEntry& entry) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t buffer_start_ = 0;
  std::vector<SafetensorsEntry> entries_;
  std::unordered_map<std::string, size_t> index_;
  Metadata metadata_;
};

// A tensor to be written. `fill` puts all its bytes into the memory it is given and is called once,
// when its turn comes, so that a file larger than the free memory can be written.
struct SafetensorsSource {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  std::function<void(void*)> fill;
};

uint64_t bytes_of(const SafetensorsSource& source);

// A source over memory that outlives the writing.
SafetensorsSource source_of(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
                            const void* data);

// Writes all sources, largest alignment first, then by name, to a temporary file beside `path`,
// flushes it to the disk and renames it: `path` is whole or as it was before. Throws DataError (no
// space, no permission, a name twice).
void write_safetensors(const std::string& path, std::vector<SafetensorsSource> sources,
                       const Metadata& metadata = {});

// "(2, 3)"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace ab
