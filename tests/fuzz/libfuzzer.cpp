// libFuzzer's side of a target. With AB_FUZZ_SEEDS set to a folder, the valid inputs are written
// there first.
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("AB_FUZZ_SEEDS");
  if (!folder) return 0;
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const ab::fuzz::Bytes& seed : ab::fuzz::seeds())
    std::ofstream(std::filesystem::path(folder) / ("seed-" + std::to_string(number++)),
                  std::ios::binary)
        .write(reinterpret_cast<const char*>(seed.data()),
               static_cast<std::streamsize>(seed.size()));
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ab::fuzz::read_untrusted({data, size});
  return 0;
}
