// Gram-Schmidt over rows (orthonormal.h). The rows of one matrix follow one another; matrices are
// independent. Every decision comes from a block-wide sum, so all threads of a block take it alike.
#include <math.h>

#include <algorithm>
#include <string>

#include "kernels/launch.h"
#include "kernels/orthonormal.h"
#include "kernels/philox.h"

namespace ab {
namespace {

constexpr int kFramesPerLaunch = 64;         // so that a kernel's arguments stay small
constexpr float kDependentSquared = 1e-10f;  // (1e-5)^2
constexpr int kAttempts = 8;                 // a random row is dependent about never

struct FrameView {
  float* x;
  int64_t rows, cols;
};

struct GramSchmidt {
  FrameView frames[kFramesPerLaunch];

  AB_FN void operator()(const Block& block) const {
    const FrameView frame = frames[block.index()];
    const int64_t n = frame.cols;
    for (int64_t j = 0; j < frame.rows; ++j) {
      float* row = frame.x + j * n;
      bool placed = false;
      for (int attempt = 0; attempt < kAttempts && !placed; ++attempt) {
        if (attempt > 0) draw(block, row, n, static_cast<uint64_t>(j), attempt);
        const float before = block.sum(n, [=](int64_t i) { return row[i] * row[i]; });
        for (int sweep = 0; sweep < 2; ++sweep)
          for (int64_t k = 0; k < j; ++k) remove(block, row, frame.x + k * n, n);
        const float after = block.sum(n, [=](int64_t i) { return row[i] * row[i]; });
        placed = after > kDependentSquared * before;
        const float factor = placed ? 1.0f / sqrtf(after) : 0.0f;
        block.each(n, [=](int64_t i) { row[i] *= factor; });
      }
    }
  }

  // row <- row - (other . row) other
  AB_FN static void remove(const Block& block, float* row, const float* other, int64_t n) {
    const float part = block.sum(n, [=](int64_t i) { return row[i] * other[i]; });
    block.each(n, [=](int64_t i) { row[i] -= part * other[i]; });
  }

  AB_FN static void draw(const Block& block, float* row, int64_t n, uint64_t j, int attempt) {
    const uint64_t key = 0x6672616d65u + static_cast<uint64_t>(attempt);
    block.each(
        n, [=](int64_t i) { row[i] = uniform(philox(key, j, static_cast<uint64_t>(i)).x) - 0.5f; });
  }
};

}  // namespace

void orthonormalise_rows(Stream stream, std::span<const Frame> frames) {
  for (size_t first = 0; first < frames.size(); first += kFramesPerLaunch) {
    const size_t count = std::min<size_t>(kFramesPerLaunch, frames.size() - first);
    GramSchmidt kernel{};
    for (size_t i = 0; i < count; ++i) {
      const Frame& frame = frames[first + i];
      if (frame.rows > frame.cols)
        throw std::invalid_argument("orthonormalise_rows: " + std::to_string(frame.rows) +
                                    " rows of " + std::to_string(frame.cols) + " elements");
      kernel.frames[i] = {frame.x.as<float>(), frame.rows, frame.cols};
    }
    launch(stream, Grid{static_cast<int64_t>(count), 256, 0}, kernel);
  }
}

}  // namespace ab
