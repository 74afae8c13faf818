// Read-only private mapping (POSIX). The descriptor is closed at once: the mapping keeps the file.
#include "data/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/error.h"

namespace ab {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* what) {
  throw DataError(std::string(what) + " " + path.string() + ": " + std::strerror(errno));
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(path, "cannot open");
  struct stat status = {};
  void* address = MAP_FAILED;
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
    address =
        mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int error = errno;
  close(descriptor);
  if (S_ISREG(status.st_mode) && status.st_size == 0) return;  // an empty file cannot be mapped
  errno = S_ISDIR(status.st_mode) ? EISDIR : error;
  if (address == MAP_FAILED) fail(path, "cannot read");
  address_ = static_cast<const uint8_t*>(address);
  size_ = static_cast<size_t>(status.st_size);
}

MappedFile::~MappedFile() {
  if (address_) munmap(const_cast<uint8_t*>(address_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      address_(std::exchange(other.address_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

}  // namespace ab
