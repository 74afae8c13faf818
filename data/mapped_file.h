// MappedFile: a file's bytes, read-only, without a copy; ranks of one machine share the pages.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace ab {

class MappedFile {
 public:
  // Throws DataError naming the file and the reason.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const uint8_t> bytes() const { return {address_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const uint8_t* address_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ab
