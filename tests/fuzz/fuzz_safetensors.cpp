// A weights file of a checkpoint, header and data: every tensor that the header promises is read.
#include "engine/error.h"
#include "tests/fuzz/target.h"
#include "tools/train/safetensors.h"

namespace ab::fuzz {
namespace {

const Scratch& scratch() {
  static const Scratch folder;
  return folder;
}

}  // namespace

bool read_untrusted(std::span<const uint8_t> bytes) {
  const std::string path = scratch().write("fuzzed.safetensors", bytes);
  try {
    const SafetensorsFile file(path);
    uint64_t total = 0;
    for (const SafetensorsEntry& entry : file.entries()) {
      Bytes values(entry.bytes());
      file.read(entry, values.data());
      total += entry.bytes();
    }
    ensure(total <= bytes.size(), "more tensor bytes than the file has");
    return true;
  } catch (const DataError& error) {
    return refused(error, "fuzzed.safetensors");
  }
}

std::vector<Bytes> seeds() {
  const float values[6] = {1, 2, 3, 4, 5, 6};
  const int64_t counts[1] = {7};
  const std::string path = (scratch().path() / "seed.safetensors").string();
  write_safetensors(path,
                    {source_of("w", DType::kFloat32, {2, 3}, values),
                     source_of("updates", DType::kInt64, {1}, counts),
                     source_of("half", DType::kBFloat16, {0, 9}, values)},
                    {{"format", "pt"}, {"step", "7"}});
  std::ifstream file(path, std::ios::binary);
  return {Bytes(std::istreambuf_iterator<char>(file), {})};
}

}  // namespace ab::fuzz
