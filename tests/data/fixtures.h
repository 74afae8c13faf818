// Files that the tests write themselves, in a folder that goes away with the test.
#pragma once
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "tests/catch.h"

namespace ab::test {

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;

class TempDir {
 public:
  TempDir() {
    static std::atomic<int> count{0};
    path_ = fs::temp_directory_path() /
            ("abtrain_data_" + std::to_string(getpid()) + "_" + std::to_string(count++));
    fs::create_directories(path_);
  }
  ~TempDir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  const fs::path& path() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

inline void write_file(const fs::path& path, const Bytes& bytes) {
  fs::create_directories(path.parent_path());
  fs::remove(path);  // some file systems wait for the disk when a file is rewritten in place
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

inline Bytes read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_gz(const fs::path& path, const Bytes& bytes) {
  gzFile file = gzopen(path.c_str(), "wb9");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

// Record r, pixel i (y * 32 + x), channel c of the CIFAR files that the tests write.
inline uint8_t cifar_value(int64_t record, int i, int c) {
  return static_cast<uint8_t>(record * 31 + i * 7 + c * 101);
}

// Records [first, first + count) with label r mod classes; `labels` label bytes before the planes.
inline Bytes cifar_records(int64_t first, int64_t count, int labels, int classes) {
  Bytes bytes;
  for (int64_t r = first; r < first + count; ++r) {
    if (labels == 2) bytes.push_back(19);  // coarse label, not to be used
    bytes.push_back(static_cast<uint8_t>(r % classes));
    for (int c = 0; c < 3; ++c)
      for (int i = 0; i < 1024; ++i) bytes.push_back(cifar_value(r, i, c));
  }
  return bytes;
}

// Five training files of `per_file` records each, and a test file of as many.
inline void write_cifar10(const fs::path& dir, int64_t per_file) {
  for (int file = 0; file < 5; ++file)
    write_file(dir / ("data_batch_" + std::to_string(file + 1) + ".bin"),
               cifar_records(file * per_file, per_file, 1, 10));
  write_file(dir / "test_batch.bin", cifar_records(5 * per_file, per_file, 1, 10));
}

inline void append_u32(Bytes& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<uint8_t>(value >> shift));
}

inline DataSettings settings_of(const std::string& format, const fs::path& dir, int classes = 10) {
  DataSettings settings;
  settings.classes = classes;
  settings.format = format;
  settings.dir = dir.string();
  settings.local_batch = 4;
  return settings;
}

// The message of the error that `action` must throw.
template <class Error, class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Whether `text` holds all the parts; Catch2's own matcher has another name in each major version.
inline bool holds(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    if (text.find(part) == std::string::npos) {
      UNSCOPED_INFO("\"" << text << "\" lacks \"" << part << "\"");
      return false;
    }
  return true;
}

}  // namespace ab::test
