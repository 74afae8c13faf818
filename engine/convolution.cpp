#include "engine/convolution.h"

#include <stdexcept>

namespace ab {

std::string text_of(const ConvolutionShape& s) {
  const auto size = [](int64_t a, int64_t b) {
    return std::to_string(a) + " x " + std::to_string(b);
  };
  return "batch " + std::to_string(s.batch) + ", map " + size(s.height, s.width) + ", channels " +
         std::to_string(s.in_channels) + " to " + std::to_string(s.out_channels) + ", kernel " +
         size(s.kernel_h, s.kernel_w) + ", stride " + std::to_string(s.stride) + ", padding " +
         std::to_string(s.padding);
}

void check_shape(const ConvolutionShape& s) {
  if (s.batch < 1 || s.in_channels < 1 || s.out_channels < 1 || s.stride < 1 || s.padding < 0 ||
      s.kernel_h < 1 || s.kernel_w < 1 || s.height + 2 * s.padding < s.kernel_h ||
      s.width + 2 * s.padding < s.kernel_w)
    throw std::invalid_argument("convolution " + text_of(s) + ": the kernel does not fit the map");
}

}  // namespace ab
