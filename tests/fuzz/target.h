// A fuzz target: one reader of bytes that nobody vouches for. Each fuzz_*.cpp defines the two
// functions; a program adds one of two mains:
//   mutate.cpp     10,000 seeded mutations of the valid inputs; every build, every ctest run
//   libfuzzer.cpp  coverage-guided, with clang's libFuzzer (tools/fuzz.sh)
#pragma once
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace ab::fuzz {

using Bytes = std::vector<uint8_t>;

// Reads `bytes` as the program would. True: read, and what was read is consistent; false: refused
// with the documented exception, whose message names the input. Anything else (another exception, a
// failed ensure) ends the process.
bool read_untrusted(std::span<const uint8_t> bytes);

// Valid inputs to start from.
std::vector<Bytes> seeds();

// --- for the targets ---

inline void ensure(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what.c_str());
  std::abort();
}

// The message of a refusal must name the file or source.
inline bool refused(const std::exception& error, const std::string& name) {
  ensure(std::string(error.what()).find(name) != std::string::npos,
         "an error without \"" + name + "\": " + error.what());
  return false;
}

inline Bytes bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

// A folder of this process in memory, gone at its end.
class Scratch {
 public:
  Scratch() {
    const std::filesystem::path base = std::filesystem::is_directory("/dev/shm")
                                           ? std::filesystem::path("/dev/shm")
                                           : std::filesystem::temp_directory_path();
    path_ = base / ("abtrain_fuzz_" + std::to_string(getpid()));
    std::filesystem::create_directories(path_);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string write(const std::string& name, std::span<const uint8_t> bytes) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return file.string();
  }

 private:
  std::filesystem::path path_;
};

}  // namespace ab::fuzz
