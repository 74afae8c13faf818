// Conversion between storage types; the rounding itself is store() in kernels/numbers.h.
// One read and one write per element, in flat chunks. Bytes moved: n * (size of from + size of to).
#include "kernels/cast.h"
#include "kernels/launch.h"

namespace ab {
namespace {

template <class From, class To>
struct Cast {
  const From* from;
  To* to;
  AB_FN void operator()(int64_t i) const { store(to + i, load(from[i])); }
};

}  // namespace

void cast(Stream stream, int64_t n, DevicePtr from, DType from_dtype, DevicePtr to,
          DType to_dtype) {
  dispatch(from_dtype, [&](auto from_type) {
    dispatch(to_dtype, [&](auto to_type) {
      using From = decltype(from_type);
      using To = decltype(to_type);
      launch_flat(stream, n, Cast<From, To>{from.as<From>(), to.as<To>()});
    });
  });
}

}  // namespace ab
