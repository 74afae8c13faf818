// Images from bytes to activations, one block per output row; one sweep: reads the crop's bytes,
// writes y once. v / 255 - mean is evaluated as written, in float, so that the values equal those
// of a decode on the CPU to the last bit or two. The flip turns the row's direction, not the image.
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/image_prepare.h"
#include "kernels/launch.h"
#include "kernels/rows.h"

namespace ab {
namespace {

template <class T, int kChannels>
struct Prepare {
  ImagePrepare args;
  const uint8_t* pixels;
  const int32_t* crops;
  T* y;

  AB_FN void operator()(const Block& block) const {
    const int64_t n = block.index() / args.out_height;
    const int i = static_cast<int>(block.index() % args.out_height);
    const int32_t* crop = crops ? crops + 3 * n : nullptr;
    const int row = i + (crop ? crop[0] : 0) - args.padding;
    const int left = (crop ? crop[1] : 0) - args.padding;
    const bool flip = crop && crop[2] != 0;
    const bool inside = row >= 0 && row < args.height;
    const int width = args.width, out_width = args.out_width;
    const uint8_t* in = pixels + (n * args.height + (inside ? row : 0)) * width * kChannels;
    T* out = y + block.index() * out_width * kChannels;
    const ImagePrepare a = args;
    block.each(out_width, [=](int64_t j64) {
      const int j = static_cast<int>(j64);
      const int column = left + (flip ? out_width - 1 - j : j);
      const bool hit = inside & (column >= 0) & (column < width);
      const uint8_t* from = in + (hit ? column : 0) * kChannels;
      for (int k = 0; k < kChannels; ++k) {
        const float value = hit ? static_cast<float>(from[k]) : 0.0f;
        store(&out[j * kChannels + k], (value / 255.0f - a.mean[k]) * a.inverse_std[k]);
      }
    });
  }
};

}  // namespace

void prepare_image_batch(Stream stream, DType dtype, const ImagePrepare& args, DevicePtr y) {
  const auto run = [&](auto channels) {
    dispatch(dtype, [&](auto type) {
      using T = decltype(type);
      launch(stream, Grid{args.batch * args.out_height, 128, 0},
             Prepare<T, decltype(channels)::value>{args, args.pixels.as<const uint8_t>(),
                                                   args.crops.as<const int32_t>(), y.as<T>()});
    });
  };
  if (args.channels == 1)
    run(std::integral_constant<int, 1>{});
  else if (args.channels == 2)
    run(std::integral_constant<int, 2>{});
  else if (args.channels == 3)
    run(std::integral_constant<int, 3>{});
  else
    throw std::invalid_argument("images have 1 to 3 channels, not " +
                                std::to_string(args.channels));
}

}  // namespace ab
