// Data sets with one thing wrong, shared by the tests with threads and those with mpirun as ranks.
#pragma once
#include "tests/cli/program.h"

namespace ab::test {

// Arguments that point the tiny configuration at a CIFAR-10 folder.
std::vector<std::string> on_cifar(const fs::path& dir);

struct CutPicture {
  std::string file;                    // a JPEG of which the second half is missing
  std::vector<std::string> arguments;  // that let rank 2 of four meet it in the third step
};
// Two classes of 40 JPEGs in `dir`/train, of 8 in `dir`/val.
CutPicture image_folder_with_cut_picture(const fs::path& dir);

}  // namespace ab::test
