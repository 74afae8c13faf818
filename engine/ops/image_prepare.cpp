// See kernels/image_prepare.h for the formula.
#include "engine/ops/image_prepare.h"

namespace ab {

Tensor prepare_images(Context& context, DevicePtr pixels, DevicePtr crops,
                      const ImagePrepare& args) {
  ImagePrepare arguments = args;
  arguments.pixels = pixels;
  arguments.crops = crops;
  Tensor y = context.make({args.batch, args.out_height, args.out_width, args.channels});
  prepare_image_batch(context.stream, y.dtype(), arguments, y.data());
  return y;
}

}  // namespace ab
