// Pooling of NHWC images x (N, H, W, C) to y (N, OH, OW, C).
//   max:      largest value of a kernel x kernel window, the first one in row order wins, NaN wins
//   average:  sum over the window / kernel^2, padding counted as zeros (PyTorch's default)
//   adaptive: mean over rows [floor(i H / OH), ceil((i + 1) H / OH)), likewise columns; also
//   enlarges
// Backward passes gather: each input element adds the windows that cover it, in row order.
#pragma once
#include "kernels/stream.h"

namespace ab {

struct PoolShape {
  int64_t batch = 0, height = 0, width = 0, channels = 0;
  int64_t out_height = 0, out_width = 0;
  int64_t kernel = 0, stride = 1, padding = 0;  // kernel 0: adaptive
};

// The shape with its output extents; padding at most kernel / 2. Throws std::invalid_argument.
PoolShape window_pool(int64_t batch, int64_t height, int64_t width, int64_t channels,
                      int64_t kernel, int64_t stride, int64_t padding);
// kernel 0; out 1 x 1 is the global average.
PoolShape adaptive_pool(int64_t batch, int64_t height, int64_t width, int64_t channels,
                        int64_t out_height, int64_t out_width);

// taps: uint8 (N, OH, OW, C), which place of its window won, or null when no backward follows.
// Needs kernel <= 16.
void max_pool_forward(Stream stream, DType dtype, const PoolShape& shape, DevicePtr x, DevicePtr y,
                      DevicePtr taps);
void max_pool_backward(Stream stream, DType dtype, const PoolShape& shape, DevicePtr taps,
                       DevicePtr dy, DevicePtr dx);

void average_pool_forward(Stream stream, DType dtype, const PoolShape& shape, DevicePtr x,
                          DevicePtr y);
void average_pool_backward(Stream stream, DType dtype, const PoolShape& shape, DevicePtr dy,
                           DevicePtr dx);

}  // namespace ab
