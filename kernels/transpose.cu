// Tiled transpose: a 64 x 64 tile goes through the block's scratch memory, so that both the reads
// and the writes run along rows. A line of the tile is one element longer than its content: on CUDA
// the columns of a power of two would all fall into one memory bank.
#include <stdexcept>
#include <string>

#include "kernels/launch.h"
#include "kernels/rows.h"
#include "kernels/transpose.h"

namespace ab {
namespace {

constexpr int64_t kSide = 64, kLine = kSide + 1;

// Word: uint32_t or uint16_t, the bits of an element. The scratch holds 32 bits for both: the CPU
// has gathers for those only.
template <class Word>
struct Transpose {
  const Word* x;
  Word* y;
  int64_t rows, cols, across;  // across: tiles along a row

  AB_FN void operator()(const Block& block) const {
    const int64_t height = rows, width = cols;
    const int64_t top = block.index() / across * kSide, left = block.index() % across * kSide;
    const int64_t down = height - top < kSide ? height - top : kSide;
    const int64_t wide = width - left < kSide ? width - left : kSide;
    const Word* in = x + top * width + left;
    Word* out = y + left * height + top;
    uint32_t* tile = block.shared<uint32_t>();
    each_row(block, 0, down, wide,
             [=](int64_t r, int64_t c) { tile[r * kLine + c] = in[r * width + c]; });
    each_row(block, 0, wide, down, [=](int64_t c, int64_t r) {
      out[c * height + r] = static_cast<Word>(tile[r * kLine + c]);
    });
  }
};

template <class Word>
void transpose_words(Stream stream, int64_t rows, int64_t cols, DevicePtr x, DevicePtr y) {
  const int64_t across = ceil_div(cols, kSide);
  launch(
      stream,
      Grid{ceil_div(rows, kSide) * across, 256, static_cast<int>(kSide * kLine * sizeof(uint32_t))},
      Transpose<Word>{x.as<const Word>(), y.as<Word>(), rows, cols, across});
}

}  // namespace

void transpose(Stream stream, DType dtype, int64_t rows, int64_t cols, DevicePtr x, DevicePtr y) {
  if (dtype == DType::kFloat32)
    transpose_words<uint32_t>(stream, rows, cols, x, y);
  else if (dtype == DType::kBFloat16)
    transpose_words<uint16_t>(stream, rows, cols, x, y);
  else
    throw std::invalid_argument(std::string("transpose takes fp32 or bf16, not ") + name_of(dtype));
}

}  // namespace ab
