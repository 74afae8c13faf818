// Reading safetensors: sizes are checked against the file before anything is allocated.
#include "tools/train/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/error.h"
#include "kernels/numbers.h"
#include "tools/train/safetensors_header.h"

namespace ab {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;

void read_all(int descriptor, const std::string& path, uint64_t offset, void* to, uint64_t bytes) {
  char* cursor = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = pread(descriptor, cursor, std::min<uint64_t>(bytes, 1u << 30), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw DataError(path + ": cannot read: " + std::strerror(errno));
    if (got == 0) throw DataError(path + ": ends early, at byte " + std::to_string(offset));
    cursor += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
  }
}

// Closes the file when the constructor throws half way. Without O_NONBLOCK a named pipe would hang.
struct OpenFile {
  explicit OpenFile(const std::string& path)
      : descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor < 0) throw DataError(path + ": cannot open: " + std::strerror(errno));
  }
  ~OpenFile() {
    if (descriptor >= 0) close(descriptor);
  }
  int descriptor;
};

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path) {
  OpenFile file(path);
  struct stat status = {};
  if (fstat(file.descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw DataError(path + ": not a regular file");
  }
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size < 8)
    throw DataError(path + ": " + std::to_string(size) + " bytes are no safetensors file");
  unsigned char prefix[8];
  read_all(file.descriptor, path, 0, prefix, 8);
  uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | prefix[i];
  if (header_bytes > kMaxHeaderBytes || header_bytes > size - 8) {
    throw DataError(path + ": a header of " + std::to_string(header_bytes) +
                    " bytes; the file has " + std::to_string(size) +
                    " and the format allows 100000000");
  }
  std::string header(header_bytes, ' ');
  read_all(file.descriptor, path, 8, header.data(), header_bytes);
  SafetensorsHeader parsed = parse_safetensors_header(path, header, size - 8 - header_bytes);
  buffer_start_ = 8 + header_bytes;
  entries_ = std::move(parsed.entries);
  metadata_ = std::move(parsed.metadata);
  for (size_t i = 0; i < entries_.size(); ++i) index_[entries_[i].name] = i;
  std::swap(descriptor_, file.descriptor);
}

SafetensorsFile::~SafetensorsFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

const SafetensorsEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

const SafetensorsEntry& SafetensorsFile::expect(const std::string& name, DType dtype,
                                                const std::vector<int64_t>& shape) const {
  const SafetensorsEntry* entry = find(name);
  if (!entry) throw DataError(path_ + ": has no tensor \"" + name + "\"");
  if (entry->dtype == dtype && entry->shape == shape) return *entry;
  throw DataError(path_ + ": tensor \"" + name + "\" is " + name_of(entry->dtype) + " " +
                  shape_text(entry->shape) + ", wanted " + name_of(dtype) + " " +
                  shape_text(shape));
}

void SafetensorsFile::read(const SafetensorsEntry& entry, void* to) const {
  read_all(descriptor_, path_, buffer_start_ + entry.begin, to, entry.bytes());
}

std::vector<float> SafetensorsFile::read_floats(const SafetensorsEntry& entry) const {
  std::vector<float> values(entry.bytes() / size_of(entry.dtype));
  if (entry.dtype == DType::kFloat32) {
    read(entry, values.data());
    return values;
  }
  std::vector<BFloat16> halves(values.size());
  read(entry, halves.data());
  for (size_t i = 0; i < values.size(); ++i) values[i] = load(halves[i]);
  return values;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

}  // namespace ab
