// Checked writing: the two ways in which a run puts text on disk. Errors are DataErrors that name
// the file and the system's reason.
#pragma once
#include <string>
#include <string_view>

#include "tools/train/config.h"

namespace ab {

// One JSON object a line. A line is one write() to a file opened for appending, so that it is whole
// in the file when append returns and nothing is lost when the process is killed.
class LineFile {
 public:
  explicit LineFile(std::string path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  void append(const Json& record, const char* ending = "\n");

 private:
  std::string path_;
  int file_ = -1;
};

// Replaces `path`: a reader sees the old text or the new one, never a part (temporary file +
// rename).
void write_whole_file(const std::string& path, const std::string& text);

// Makes the names in a folder survive a crash; file systems that cannot flush a folder are fine.
void flush_folder(const std::string& folder);

// Doubles with all their bits, NaN and infinity as null, text that is no UTF-8 repaired.
std::string json_text(const Json& value, int indent = -1);

}  // namespace ab
