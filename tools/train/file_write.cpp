// POSIX calls, because a stream would hide when and why a write failed.
#include "tools/train/file_write.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/error.h"

namespace ab {
namespace {

[[noreturn]] void fail(const std::string& path, const char* what) {
  const int error = errno;
  throw DataError(path + ": " + what + ": " + std::strerror(error) +
                  (error == ENOSPC || error == EDQUOT
                       ? "; make room, then go on with --resume or start again in another --out"
                   : error == EFBIG
                       ? "; raise the file size limit (ulimit -f), then go on with --resume"
                       : ""));
}

void write_all(int file, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path, "cannot be written");
    text.remove_prefix(static_cast<size_t>(count));
  }
}

int open_for_writing(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
  if (file < 0) fail(path, "cannot be opened for writing");
  return file;
}

}  // namespace

LineFile::LineFile(std::string path)
    : path_(std::move(path)), file_(open_for_writing(path_, O_APPEND)) {}

LineFile::~LineFile() {
  ::close(file_);
}

void LineFile::append(const Json& record, const char* ending) {
  write_all(file_, json_text(record) + ending, path_);
}

void write_whole_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp";
  const int file = open_for_writing(temporary, O_TRUNC);
  try {
    write_all(file, text, temporary);
    if (::fsync(file) != 0 && errno != EINVAL) fail(temporary, "cannot be written");
  } catch (...) {
    ::close(file);
    ::unlink(temporary.c_str());
    throw;
  }
  // Some file systems report a full disk only here.
  if (::close(file) != 0) fail(temporary, "cannot be written");
  if (std::rename(temporary.c_str(), path.c_str()) != 0) fail(path, "cannot be replaced");
  flush_folder(std::filesystem::path(path).parent_path().string());
}

void flush_folder(const std::string& folder) {
  const int handle = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (handle < 0) return;
  ::fsync(handle);
  ::close(handle);
}

std::string json_text(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ab
