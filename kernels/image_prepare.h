// Crop, flip and normalise a batch of uint8 images into activations.
//   source: pixels (N, h, w, c), seen with a border of `padding` zeros on every side (zero before
//   the normalisation, as torchvision pads before ToTensor and Normalize); y[n,i,j,k] = (source[n,
//   top + i, left + (flip ? W - 1 - j : j), k] / 255 - mean[k]) * inverse_std[k]
// with top, left in the padded source; what lies outside it is zero too.
#pragma once
#include "kernels/stream.h"

namespace ab {

struct ImagePrepare {
  DevicePtr pixels;  // uint8 (N, h, w, c)
  DevicePtr crops;   // int32 (N, 3): top, left, flip; null: no crop, no flip
  int64_t batch = 0;
  int height = 0, width = 0;  // h, w of the pixels
  int channels = 3;           // 1 to 3
  int padding = 0;
  int out_height = 0, out_width = 0;
  float mean[3] = {}, inverse_std[3] = {1.0f, 1.0f, 1.0f};
};
// y (N, out_height, out_width, channels) in dtype.
void prepare_image_batch(Stream stream, DType dtype, const ImagePrepare& args, DevicePtr y);

}  // namespace ab
