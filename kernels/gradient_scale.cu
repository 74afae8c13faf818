// The clipping factor (gradient_scale.h): one block, one thread of it.
#include <math.h>

#include "kernels/gradient_scale.h"
#include "kernels/launch.h"

namespace ab {
namespace {

struct Decide {
  const double* squares;
  const float* loss;
  GradientScale* scale;
  double clip;

  AB_FN void operator()(const Block& block) const {
    const Decide s = *this;
    block.once([=] {
      const double norm = sqrt(*s.squares);
      const bool clips = s.clip > 0.0 && norm > s.clip;
      s.scale->factor = clips ? static_cast<float>(s.clip / (norm + 1e-6)) : 1.0f;
      // x - x is 0 for a number, NaN for what is none.
      s.scale->finite = norm - norm == 0.0 && *s.loss - *s.loss == 0.0f;
    });
  }
};

}  // namespace

void gradient_scale(Stream stream, DevicePtr squares, DevicePtr loss, double clip,
                    DevicePtr scale) {
  launch(
      stream, Grid{1, 32, 0},
      Decide{squares.as<const double>(), loss.as<const float>(), scale.as<GradientScale>(), clip});
}

}  // namespace ab
