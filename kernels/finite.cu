// Non-finite elements, counted by their bits: comparisons of floats would depend on compiler flags.
// One sweep, an integer sum. Bytes: reads x once.
#include "kernels/finite.h"
#include "kernels/integer_sum.h"

namespace ab {
namespace {

AB_FN bool exponent_full(float value) {
  return (bits_of(value) & 0x7f800000u) == 0x7f800000u;
}
AB_FN bool exponent_full(BFloat16 value) {
  return (value.bits & 0x7f80u) == 0x7f80u;
}

template <class T>
struct NonFinite {
  const T* x;
  AB_FN uint64_t operator()(int64_t i) const { return exponent_full(x[i]) ? 1 : 0; }
};

}  // namespace

size_t count_non_finite_scratch_bytes(int64_t n) {
  return integer_sum_scratch_bytes(n);
}

void count_non_finite(Stream stream, DType dtype, int64_t n, DevicePtr x, DevicePtr scratch,
                      DevicePtr result) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    integer_sum(stream, n, NonFinite<T>{x.as<const T>()}, scratch, result);
  });
}

}  // namespace ab
