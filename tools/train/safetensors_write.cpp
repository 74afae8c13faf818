// Writing safetensors: the header is built first (compact JSON, padded with spaces to a multiple of
// 8, so that the data behind it are aligned), then one tensor after another goes through one
// staging buffer. The file appears under its name only when all of it is on the disk.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/train/file_write.h"
#include "tools/train/safetensors.h"

namespace ab {
namespace {

// Place in the common writer's order, which puts the types of larger alignment first.
struct TypeName {
  const char* text;
  int order;
};

TypeName type_name(DType dtype) {
  switch (dtype) {
    case DType::kInt64:
      return {"I64", 0};
    case DType::kFloat64:
      return {"F64", 1};
    case DType::kFloat32:
      return {"F32", 2};
    case DType::kInt32:
      return {"I32", 3};
    case DType::kBFloat16:
      return {"BF16", 4};
    case DType::kUint8:
      return {"U8", 5};
  }
  throw DataError("a tensor of unknown dtype cannot be written");
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

// Metadata may hold a path or host name that is not UTF-8; it must not cost the checkpoint.
std::string text_of(const Metadata& metadata) {
  return nlohmann::json(metadata).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string header_of(const std::vector<SafetensorsSource>& sources, const Metadata& metadata) {
  std::string header = "{";
  if (!metadata.empty()) header += "\"__metadata__\":" + text_of(metadata);
  uint64_t offset = 0;
  for (const SafetensorsSource& source : sources) {
    if (header.size() > 1) header += ",";
    header +=
        quoted(source.name) + ":{\"dtype\":\"" + type_name(source.dtype).text + "\",\"shape\":";
    header += nlohmann::json(source.shape).dump() + ",\"data_offsets\":[" + std::to_string(offset);
    offset += bytes_of(source);
    header += "," + std::to_string(offset) + "]}";
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

// A file under a temporary name; removed unless it was committed.
class PendingFile {
 public:
  explicit PendingFile(const std::string& path) : path_(path) {
    static std::atomic<int> count{0};  // ranks may be threads of one process
    temporary_ = path + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(count++);
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail("create");
  }
  ~PendingFile() {
    if (descriptor_ >= 0) close(descriptor_);
    if (!committed_) unlink(temporary_.c_str());
  }
  PendingFile(const PendingFile&) = delete;

  void write(const void* data, uint64_t bytes) {
    const char* cursor = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t put = ::write(descriptor_, cursor, std::min<uint64_t>(bytes, 1u << 30));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) fail("write");
      cursor += put;
      bytes -= static_cast<uint64_t>(put);
    }
  }

  void commit() {
    if (fsync(descriptor_) != 0 && errno != EINVAL) fail("flush");
    const int descriptor = descriptor_;
    descriptor_ = -1;
    if (close(descriptor) != 0) fail("close");
    if (rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename");
    committed_ = true;
    flush_folder(std::filesystem::path(path_).parent_path().string());
  }

 private:
  [[noreturn]] void fail(const char* verb) const {
    throw DataError(path_ + ": cannot " + verb + ": " + std::strerror(errno));
  }

  std::string path_, temporary_;
  int descriptor_ = -1;
  bool committed_ = false;
};

}  // namespace

uint64_t bytes_of(const SafetensorsSource& source) {
  uint64_t bytes = size_of(source.dtype);
  for (const int64_t extent : source.shape) bytes *= static_cast<uint64_t>(extent);
  return bytes;
}

SafetensorsSource source_of(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
                            const void* data) {
  SafetensorsSource source{name, dtype, shape, nullptr};
  const uint64_t bytes = bytes_of(source);
  source.fill = [data, bytes](void* to) {
    if (bytes > 0) std::memcpy(to, data, bytes);
  };
  return source;
}

void write_safetensors(const std::string& path, std::vector<SafetensorsSource> sources,
                       const Metadata& metadata) {
  std::sort(sources.begin(), sources.end(), [](const auto& a, const auto& b) {
    const int order_a = type_name(a.dtype).order, order_b = type_name(b.dtype).order;
    return order_a != order_b ? order_a < order_b : a.name < b.name;
  });
  std::unordered_map<std::string, int> names;
  for (const SafetensorsSource& source : sources) {
    if (source.name == "__metadata__") throw DataError(path + ": no tensor may be so named");
    if (names[source.name]++ > 0) throw DataError(path + ": two tensors named " + source.name);
  }
  const std::string header = header_of(sources, metadata);
  unsigned char prefix[8];
  for (int i = 0; i < 8; ++i) prefix[i] = static_cast<unsigned char>(header.size() >> (8 * i));

  PendingFile file(path);
  file.write(prefix, sizeof prefix);
  file.write(header.data(), header.size());
  std::vector<char> staging;
  for (const SafetensorsSource& source : sources) {
    staging.resize(bytes_of(source));
    source.fill(staging.data());
    file.write(staging.data(), staging.size());
  }
  file.commit();
}

}  // namespace ab
