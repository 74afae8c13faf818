// 3 x 3 convolutions with stride 1 by Winograd's F(2 x 2, 3 x 3) in fp32, on the host: 16 products
// for four places of the result instead of 36 (Lavin and Gray 2015, arXiv 1509.09308, section 4.1).
//   The map is covered by tiles of 4 x 4 places d, each yielding 2 x 2 places
//     Y = A^T [(G g G^T) o (B^T d B)] A
//           | 1  0 -1  0 |         |  1   0   0  |
//     B^T = | 0  1  1  0 |     G = | 1/2 1/2 1/2 |     A^T = | 1  1  1  0 |
//           | 0 -1  1  0 |         | 1/2-1/2 1/2 |           | 0  1 -1 -1 |
//           | 0  1  0 -1 |         |  0   0   1  |
//   The products o, one for each of the 16 positions, are sums over channels: 16 matrix products
//   (tiles, in) (in, out). The gradient for x is the same with the filter turned about, and the
//   gradient for the filter is the transpose of the formula in g: G^T [(A dY A^T) o (B^T d B)] G,
//   summed over tiles in their order, whatever the number of threads.
#pragma once
#include "engine/convolution.h"

namespace ab::host {

class Winograd {
 public:
  // Where the formula applies: 3 x 3, stride 1, padding at most 2, channels in multiples of 8.
  static bool applies(const ConvolutionShape& shape);

  explicit Winograd(const ConvolutionShape& shape) : shape_(shape) {}

  // Temporary memory in floats, for the current number of threads.
  int64_t product_scratch() const;  // forward and backward_data
  int64_t filter_scratch() const;   // backward_filter

  // As Convolution's; false when oneDNN's product refused. bias: null when there is none.
  [[nodiscard]] bool forward(const float* x, const float* w, const float* bias, bool relu, float* y,
                             float* scratch) const;
  [[nodiscard]] bool backward_data(const float* dy, const float* w, float* dx,
                                   float* scratch) const;
  [[nodiscard]] bool backward_filter(const float* x, const float* dy, float* dw,
                                     float* scratch) const;

 private:
  ConvolutionShape shape_;
};

}  // namespace ab::host
