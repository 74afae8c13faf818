// AdamW (adamw.h): each element is read and written once; nothing is kept between launches.
#include <math.h>

#include "kernels/adamw.h"
#include "kernels/launch.h"

namespace ab {
namespace {

struct AdamWUpdate {
  float *p, *m, *v;  // (n)
  const float* g;    // (n)
  float lr, decay, beta1, beta2, rest1, rest2, correction1, correction2, eps, gradient_scale;

  AB_FN void operator()(int64_t i) const {
    const float gradient = g[i] * gradient_scale;
    const float first = beta1 * m[i] + rest1 * gradient;
    const float second = beta2 * v[i] + rest2 * gradient * gradient;
    m[i] = first;
    v[i] = second;
    const float direction = first * correction1 / (sqrtf(second * correction2) + eps);
    p[i] -= lr * (direction + decay * p[i]);
  }
};

}  // namespace

void adamw(Stream stream, const AdamWArguments& a) {
  launch_flat(
      stream, a.n,
      AdamWUpdate{a.p.as<float>(), a.m.as<float>(), a.v.as<float>(), a.g.as<const float>(), a.lr,
                  a.weight_decay, a.beta1, a.beta2, a.one_minus_beta1, a.one_minus_beta2,
                  a.correction1, a.correction2, a.eps, a.gradient_scale});
}

}  // namespace ab
