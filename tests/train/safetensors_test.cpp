// The file format: bytes worked out by hand, the order of tensors, a round trip of every type, and
// what a failed write leaves behind.
#include "tools/train/safetensors.h"

#include <cstring>
#include <stdexcept>

#include "engine/error.h"
#include "tests/catch.h"
#include "tests/train/scratch_folder.h"

using namespace ab;

TEST_CASE("a file has the bytes the format prescribes", "[safetensors]") {
  const ScratchFolder folder;
  const float values[] = {1.0f, -2.0f};  // 0x3f800000, 0xc0000000
  write_safetensors(folder / "a", {source_of("a", DType::kFloat32, {2}, values)});
  // 54 characters of JSON, two spaces up to 56 = 0x38.
  const std::string json = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  REQUIRE(json.size() == 54);
  const std::string expected =
      std::string("\x38\0\0\0\0\0\0\0", 8) + json + "  " + std::string("\0\0\x80\x3f\0\0\0\xc0", 8);
  CHECK(contents(folder / "a") == expected);
}

TEST_CASE("tensors are written by falling alignment, then by name", "[safetensors]") {
  const ScratchFolder folder;
  const uint8_t memory[64] = {};
  write_safetensors(
      folder / "a",
      {source_of("z8", DType::kUint8, {3}, memory), source_of("b4", DType::kFloat32, {1}, memory),
       source_of("a2", DType::kBFloat16, {2}, memory),
       source_of("a4", DType::kFloat32, {2}, memory), source_of("i4", DType::kInt32, {1}, memory),
       source_of("d8", DType::kFloat64, {1}, memory), source_of("q8", DType::kInt64, {1}, memory)});
  std::string names;
  const SafetensorsFile file(folder / "a");
  for (const SafetensorsEntry& entry : file.entries())
    names += entry.name + "@" + std::to_string(entry.begin) + " ";
  CHECK(names == "q8@0 d8@8 a4@16 b4@24 i4@28 a2@32 z8@36 ");
}

TEST_CASE("every type, a scalar, an empty tensor and metadata come back", "[safetensors]") {
  const ScratchFolder folder;
  const float f32[] = {1.5f, -0.0f, 3e38f};
  const double f64[] = {0.1};
  const int64_t i64[] = {-1, INT64_MAX};
  const int32_t i32[] = {INT32_MIN};
  const uint16_t bf16[] = {0x3f80, 0x7fc0};
  const uint8_t u8[] = {0, 255, 7};
  const Metadata metadata = {{"format", "pt"}, {"a \"quoted\" key", "line\nbreak \xc3\xa4"}};
  write_safetensors(
      folder / "a",
      {source_of("f32", DType::kFloat32, {3, 1}, f32), source_of("i64", DType::kInt64, {2}, i64),
       source_of("scalar", DType::kFloat64, {}, f64), source_of("i32", DType::kInt32, {1}, i32),
       source_of("bf16", DType::kBFloat16, {2}, bf16), source_of("u8", DType::kUint8, {3}, u8),
       source_of("empty", DType::kFloat32, {4, 0, 2}, nullptr)},
      metadata);
  const SafetensorsFile file(folder / "a");
  CHECK(file.metadata() == metadata);
  CHECK(file.entries().size() == 7);
  const auto same = [&](const char* name, DType dtype, const std::vector<int64_t>& shape,
                        const void* data, size_t bytes) {
    const SafetensorsEntry& entry = file.expect(name, dtype, shape);
    std::vector<char> read(entry.bytes());
    file.read(entry, read.data());
    return read.size() == bytes && (bytes == 0 || std::memcmp(read.data(), data, bytes) == 0);
  };
  CHECK(same("f32", DType::kFloat32, {3, 1}, f32, sizeof f32));
  CHECK(same("scalar", DType::kFloat64, {}, f64, sizeof f64));
  CHECK(same("i64", DType::kInt64, {2}, i64, sizeof i64));
  CHECK(same("i32", DType::kInt32, {1}, i32, sizeof i32));
  CHECK(same("bf16", DType::kBFloat16, {2}, bf16, sizeof bf16));
  CHECK(same("u8", DType::kUint8, {3}, u8, sizeof u8));
  CHECK(same("empty", DType::kFloat32, {4, 0, 2}, nullptr, 0));
  CHECK_THROWS_AS(file.expect("u8", DType::kUint8, {1, 3}), DataError);
  CHECK_THROWS_AS(file.expect("absent", DType::kUint8, {3}), DataError);
}

TEST_CASE("a failed write leaves the old file and nothing else", "[safetensors]") {
  const ScratchFolder folder;
  const float values[] = {1};
  const std::string path = folder / "a";
  write_safetensors(path, {source_of("a", DType::kFloat32, {1}, values)});
  const std::string before = contents(path);
  SafetensorsSource failing = source_of("b", DType::kFloat32, {1}, values);
  failing.fill = [](void*) { throw std::runtime_error("device lost"); };
  CHECK_THROWS_AS(write_safetensors(path, {failing}), std::runtime_error);
  const SafetensorsSource twice = source_of("a", DType::kFloat32, {1}, values);
  CHECK_THROWS_AS(write_safetensors(path, {twice, twice}), DataError);
  CHECK_THROWS_AS(write_safetensors(folder / "no/such/folder", {twice}), DataError);
  CHECK(contents(path) == before);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}
