// Seam: 2-D convolution, NHWC activations, filters (out, kernel_h, kernel_w, in).
//   host: oneDNN's convolutions and products.   cuda: cuDNN's graph API.
//   y[n,p,q,o] = bias[o] + sum over r,s,i of x[n, p*stride+r-padding, q*stride+s-padding, i]
//   w[o,r,s,i]
#pragma once
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace ab {

struct ConvolutionShape {
  int64_t batch = 0, height = 0, width = 0, in_channels = 0, out_channels = 0;
  int64_t kernel_h = 1, kernel_w = 1, stride = 1, padding = 0;

  int64_t out_height() const { return (height + 2 * padding - kernel_h) / stride + 1; }
  int64_t out_width() const { return (width + 2 * padding - kernel_w) / stride + 1; }
  // Multiply-adds times two of one pass.
  double flops() const {
    return 2.0 * batch * out_height() * out_width() * out_channels * in_channels * kernel_h *
           kernel_w;
  }
  bool operator==(const ConvolutionShape&) const = default;
};

// "batch 8, map 7 x 7, channels 3 to 16, ...", for errors and notes.
std::string text_of(const ConvolutionShape& shape);
// Throws std::invalid_argument where nothing is left of the map.
void check_shape(const ConvolutionShape& shape);

// Primitives are cached per (shape, dtype, pass); temporary memory comes from the arena.
class Convolution {
 public:
  virtual ~Convolution() = default;
  // x, w, y in `dtype`; bias fp32 (out) or null; relu: y = max(0, .) in the same pass.
  virtual void forward(Stream stream, Arena& arena, const ConvolutionShape& shape, DType dtype,
                       DevicePtr x, DevicePtr w, DevicePtr bias, bool relu, DevicePtr y) = 0;
  // dx = the gradient for x, overwritten.
  virtual void backward_data(Stream stream, Arena& arena, const ConvolutionShape& shape,
                             DType dtype, DevicePtr dy, DevicePtr w, DevicePtr dx) = 0;
  // dw fp32 in the filters' layout, overwritten.
  virtual void backward_filter(Stream stream, Arena& arena, const ConvolutionShape& shape,
                               DType dtype, DevicePtr x, DevicePtr dy, DevicePtr dw) = 0;
  // What the vendor's library refused so far, why, and what runs instead: one line each.
  virtual std::vector<std::string> notes() const { return {}; }
};

}  // namespace ab
