// From a batch of bytes to activations.
#pragma once
#include "engine/context.h"
#include "kernels/image_prepare.h"

namespace ab {

// pixels uint8 (batch, height, width, channels), crops int32 (batch, 3): top, left, flip, or null;
// both on the device. Returns (batch, out_height, out_width, channels) in the context's dtype,
// without a slot: images want no gradient. args.pixels and args.crops are ignored.
Tensor prepare_images(Context& context, DevicePtr pixels, DevicePtr crops,
                      const ImagePrepare& args);

}  // namespace ab
