// Dropout and drop path with masks drawn from Philox4x32-10: counter = (sample, element / 4), one
// call gives four elements. Kept where uniform >= rate. A block handles a piece of one sample, so
// the counter's upper half is constant in it. Arithmetic in float; bytes moved: dropout.h.
#include <stdexcept>

#include "kernels/dropout.h"
#include "kernels/launch.h"

namespace ab {
namespace {

// Elements of a sample that one block handles, a multiple of the four numbers of a Philox call.
constexpr int64_t kPiece = kFlatChunk;

void check_rate(const char* what, float rate) {
  if (!(rate >= 0.0f && rate < 1.0f))
    throw std::invalid_argument(std::string(what) + " rate " + std::to_string(rate) +
                                ": must be at least 0 and below 1");
}

// What a block draws with: the key's stream counts from *origin.
AB_FN uint64_t key_from(RandomKey key, const uint64_t* origin) {
  return dropout_key({key.seed, key.stream + (origin ? *origin : 0)});
}

template <class T>
struct Mask {
  const T* x;
  T* y;
  int64_t elements, pieces, first_sample;  // pieces: blocks of one sample
  RandomKey key;
  const uint64_t* origin;
  float rate, kept_scale;
  AB_FN void operator()(const Block& block) const {
    const int64_t sample = block.index() / pieces, first = block.index() % pieces * kPiece;
    const int64_t count = elements - first < kPiece ? elements - first : kPiece;
    const T* in = x + sample * elements + first;
    T* out = y + sample * elements + first;
    const uint64_t k = key_from(key, origin),
                   counter = static_cast<uint64_t>(first_sample + sample), four = first / 4;
    const float p = rate, s = kept_scale;
    block.each(count / 4, [=](int64_t i) {
      const Random4 r = philox(k, counter, four + i);
      store(out + 4 * i, load(in[4 * i]) * (uniform(r.x) >= p ? s : 0.0f));
      store(out + 4 * i + 1, load(in[4 * i + 1]) * (uniform(r.y) >= p ? s : 0.0f));
      store(out + 4 * i + 2, load(in[4 * i + 2]) * (uniform(r.z) >= p ? s : 0.0f));
      store(out + 4 * i + 3, load(in[4 * i + 3]) * (uniform(r.w) >= p ? s : 0.0f));
    });
    block.once([=] {
      const Random4 r = philox(k, counter, four + count / 4);
      const uint32_t words[3] = {r.x, r.y, r.z};
      for (int64_t i = count / 4 * 4, w = 0; i < count; ++i, ++w)
        store(out + i, load(in[i]) * (uniform(words[w]) >= p ? s : 0.0f));
    });
  }
};

template <class T, bool kAdd>
struct Path {
  const T *x, *branch;
  T* out;
  int64_t elements, pieces, first_sample;  // pieces: blocks of one sample
  RandomKey key;
  const uint64_t* origin;
  float rate, kept_scale;
  AB_FN void operator()(const Block& block) const {
    const int64_t sample = block.index() / pieces, first = block.index() % pieces * kPiece;
    const int64_t count = elements - first < kPiece ? elements - first : kPiece;
    const int64_t at = sample * elements + first;
    const Random4 r =
        philox(key_from(key, origin), static_cast<uint64_t>(first_sample + sample), 0);
    const float s = uniform(r.x) >= rate ? kept_scale : 0.0f;
    const T* in = branch + at;
    T* to = out + at;
    if constexpr (kAdd) {
      const T* base = x + at;
      block.each(count, [=](int64_t i) { store(to + i, load(base[i]) + s * load(in[i])); });
    } else {
      block.each(count, [=](int64_t i) { store(to + i, s * load(in[i])); });
    }
  }
};

template <bool kAdd>
void path(Stream stream, DType dtype, const DropPath& a) {
  check_rate("drop path", a.rate);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t pieces = ceil_div(a.elements, kPiece);
    launch(stream, Grid{a.samples * pieces, 256, 0},
           Path<T, kAdd>{a.x.as<T>(), a.branch.as<T>(), a.out.as<T>(), a.elements, pieces,
                         a.first_sample, a.key, a.origin.as<const uint64_t>(), a.rate,
                         1.0f / (1.0f - a.rate)});
  });
}

}  // namespace

void dropout(Stream stream, DType dtype, const Dropout& a) {
  check_rate("dropout", a.rate);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t pieces = ceil_div(a.elements, kPiece);
    launch(stream, Grid{a.samples * pieces, 256, 0},
           Mask<T>{a.x.as<T>(), a.y.as<T>(), a.elements, pieces, a.first_sample, a.key,
                   a.origin.as<const uint64_t>(), a.rate, 1.0f / (1.0f - a.rate)});
  });
}

void drop_path_add(Stream stream, DType dtype, const DropPath& arguments) {
  path<true>(stream, dtype, arguments);
}

void drop_path_backward(Stream stream, DType dtype, const DropPath& arguments) {
  path<false>(stream, dtype, arguments);
}

}  // namespace ab
