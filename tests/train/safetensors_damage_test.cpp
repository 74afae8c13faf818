// What a reader must not trust: every rule of the format broken once, files cut at every length,
// and thousands of damaged headers, each of which must be refused or read as what it says.
#include <random>

#include "engine/error.h"
#include "tests/catch.h"
#include "tests/train/scratch_folder.h"
#include "tools/train/safetensors_header.h"

using namespace ab;

namespace {

std::string file_of(const std::string& header, const std::string& data) {
  std::string prefix(8, '\0');
  for (int i = 0; i < 8; ++i) prefix[i] = static_cast<char>(header.size() >> (8 * i));
  return prefix + header + data;
}

std::string message_of(const std::string& header, uint64_t buffer_bytes) {
  try {
    parse_safetensors_header("f", header, buffer_bytes);
  } catch (const DataError& error) {
    return error.what();
  }
  return "read";
}

}  // namespace

TEST_CASE("a header that breaks a rule is refused with the reason", "[safetensors]") {
  const auto tensor = [](const std::string& dtype, const std::string& shape,
                         const std::string& offsets) {
    return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
           offsets + "}}";
  };
  const auto two = [](const std::string& a, const std::string& b) {
    const std::string head = R"({"dtype":"U8","shape":[4],"data_offsets":)";
    return R"({"a":)" + head + a + R"(},"b":)" + head + b + "}}";
  };
  REQUIRE(message_of(tensor("F32", "[2]", "[0,8]"), 8) == "read");
  REQUIRE(message_of(two("[4,8]", "[0,4]") + "   ", 8) == "read");
  REQUIRE(message_of("{}", 0) == "read");
  struct Case {
    std::string header;
    uint64_t bytes;
    const char* reason;
  };
  const std::string nested = "{\"t\":" + std::string(100000, '[');
  const Case cases[] = {
      {tensor("F32", "[2]", "[0,8]"), 12, "4 bytes after the last tensor"},
      {tensor("F32", "[2]", "[0,8]"), 4, "outside the buffer of 4 bytes"},
      {tensor("F32", "[2]", "[8,0]"), 8, "outside the buffer"},
      {tensor("F32", "[3]", "[0,8]"), 8, "shape (3) takes 12 bytes, data_offsets span 8"},
      {tensor("F16", "[2]", "[0,4]"), 4, "dtype \"F16\""},
      {tensor("F32", "[4611686018427387904,4]", "[0,0]"), 0, "overflows"},
      {tensor("F32", "[18446744073709551615]", "[0,0]"), 0, "63 bits"},
      {tensor("F32", "[-2]", "[0,8]"), 8, "a negative number"},
      {tensor("F32", "[2.0]", "[0,8]"), 8, "2.0 where the format has none"},
      {tensor("F32", "2", "[0,8]"), 8, "a number where"},
      {tensor("F32", "[2]", "[0,8,9]"), 8, "more than two"},
      {tensor("F32", "[2]", "[8]"), 8, "fewer than two"},
      {tensor("F32", "[[2]]", "[0,8]"), 8, "an array where"},
      {tensor("F32", "[null]", "[0,8]"), 8, "null where"},
      {R"({"t":{"dtype":"F32","shape":[2]}})", 8, "is missing"},
      {R"({"t":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8, "twice"},
      {R"({"t":{"kind":1}})", 8, "unknown key \"kind\""},
      {R"({"t":7})", 0, "a number where"},
      {R"({"__metadata__":{"a":1}})", 0, "a number where"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "twice"},
      {two("[0,4]", "[5,9]"), 9, "a hole before byte 5"},
      {two("[0,4]", "[2,6]"), 6, "an overlap at byte 2"},
      {two("[1,5]", "[5,9]"), 9, "a hole before byte 1"},
      {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
       R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
       0, "appears twice"},
      {"[]", 0, "not a JSON object"},
      {" {}", 0, "not a JSON object"},
      {"", 0, "not a JSON object"},
      {std::string("{}\0 ", 4), 0, "not a JSON object"},
      {"{} x", 0, "not valid JSON"},
      {"{\"\xff\":1}", 0, "not valid JSON"},
      {nested, 0, "an array where"},
  };
  for (const Case& c : cases) {
    const std::string message = message_of(c.header, c.bytes);
    INFO(c.header.substr(0, 100) << ": " << message);
    CHECK(message.find(c.reason) != std::string::npos);
  }
}

TEST_CASE("a file that ends early or claims too much is refused", "[safetensors]") {
  const ScratchFolder folder;
  const float values[] = {1, 2, 3};
  write_safetensors(folder / "whole", {source_of("a", DType::kFloat32, {3}, values)});
  const std::string whole = contents(folder / "whole");
  for (size_t length = 0; length < whole.size(); ++length) {
    write_file(folder / "cut", whole.substr(0, length));
    CHECK_THROWS_AS(SafetensorsFile(folder / "cut"), DataError);
  }
  write_file(folder / "huge", std::string(8, '\xff') + "{}");
  const auto refuses = [](const std::string& path, const char* reason) {
    try {
      const SafetensorsFile file(path);
    } catch (const DataError& error) {
      return std::string(error.what()).find(reason) != std::string::npos;
    }
    return false;
  };
  CHECK(refuses(folder / "huge", "a header of 18446744073709551615 bytes"));
  CHECK(refuses(folder / "absent", "cannot open"));
  CHECK(refuses(folder.path().string(), "not a regular file"));
}

TEST_CASE("5,000 damaged headers are refused or read as they say", "[safetensors]") {
  const ScratchFolder folder;
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("i":{"dtype":"I64","shape":[],"data_offsets":[24,32]},)"
      R"("h":{"dtype":"BF16","shape":[0,9],"data_offsets":[32,32]},)"
      R"("u":{"dtype":"U8","shape":[8],"data_offsets":[32,40]}})";
  const std::string data = "0123456789abcdefghijklmnopqrstuvwxyz-=+*";
  const std::string alphabet = "{}[],:\"\\0123456789-.eu \xc3";
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  int read = 0, refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string damaged = header;
    for (size_t edits = 1 + below(3); edits > 0; --edits) {
      const size_t at = below(damaged.size()), length = below(6), from = below(damaged.size());
      switch (below(5)) {
        case 0:
          damaged[at] = static_cast<char>(random());
          break;
        case 1:
          damaged[at] = alphabet[below(alphabet.size())];
          break;
        case 2:
          damaged.erase(at, length);
          break;
        case 3:
          damaged.insert(at, damaged.substr(from, below(60)));
          break;
        default:
          damaged.insert(at, 1, alphabet[below(alphabet.size())]);
      }
    }
    std::string bytes = file_of(damaged, data);
    if (below(10) == 0) bytes[below(8)] ^= static_cast<char>(1 << below(8));
    write_file(folder / "damaged", bytes);
    try {
      const SafetensorsFile file(folder / "damaged");
      uint64_t covered = 0;
      for (const SafetensorsEntry& entry : file.entries()) {
        uint64_t expected = size_of(entry.dtype);
        for (const int64_t extent : entry.shape) expected *= static_cast<uint64_t>(extent);
        REQUIRE(entry.begin == covered);
        REQUIRE(entry.bytes() == expected);
        covered = entry.end;
        std::string content(entry.bytes(), '\0');
        file.read(entry, content.data());
        REQUIRE(content == data.substr(entry.begin, entry.bytes()));
      }
      REQUIRE(covered == data.size());
      ++read;
    } catch (const DataError&) {
      ++refused;
    }
  }
  CHECK(read + refused == 5000);
  CHECK(read > 50);  // harmless damage: a space, another name
  CHECK(refused > 2500);
}
