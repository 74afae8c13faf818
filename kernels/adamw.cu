// AdamW (adamw.h): each element is read and written once; nothing is kept between launches.
#include <math.h>

#include "kernels/adamw.h"
#include "kernels/gradient_scale.h"
#include "kernels/launch.h"

namespace ab {
namespace {

struct AdamWUpdate {
  float *p, *m, *v;  // (n)
  const float* g;    // (n)
  const AdamWRates* rates;
  const GradientScale* scale;
  int64_t n;
  float decay, beta1, beta2, rest1, rest2, eps;

  AB_FN void operator()(const Block& block) const {
    if (!scale->finite) return;
    const int64_t start = block.index() * kFlatChunk;
    const int64_t count = n - start < kFlatChunk ? n - start : kFlatChunk;
    const AdamWUpdate s = *this;
    const AdamWRates now = *rates;
    const float factor = scale->factor;
    block.each(count, [=](int64_t at) {
      const int64_t i = start + at;
      const float gradient = s.g[i] * factor;
      const float first = s.beta1 * s.m[i] + s.rest1 * gradient;
      const float second = s.beta2 * s.v[i] + s.rest2 * gradient * gradient;
      s.m[i] = first;
      s.v[i] = second;
      const float direction = first * now.correction1 / (sqrtf(second * now.correction2) + s.eps);
      s.p[i] -= now.lr * (direction + s.decay * s.p[i]);
    });
  }
};

}  // namespace

void adamw(Stream stream, const AdamWArguments& a) {
  launch(
      stream, Grid{ceil_div(a.n, kFlatChunk), 256, 0},
      AdamWUpdate{a.p.as<float>(), a.m.as<float>(), a.v.as<float>(), a.g.as<const float>(),
                  a.rates.as<const AdamWRates>(), a.scale.as<const GradientScale>(), a.n,
                  a.weight_decay, a.beta1, a.beta2, a.one_minus_beta1, a.one_minus_beta2, a.eps});
}

}  // namespace ab
