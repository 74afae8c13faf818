// Kernels over images, tokens and logits on inputs whose results can be worked out by hand.
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/batch_norm.h"
#include "kernels/checksum.h"
#include "kernels/finite.h"
#include "kernels/image_prepare.h"
#include "kernels/numbers.h"
#include "kernels/pooling.h"
#include "kernels/tokens.h"
#include "kernels/topk.h"
#include "kernels/transpose.h"
#include "tests/catch.h"

namespace ab {
namespace {

constexpr Stream kHost;
constexpr DType kFloat = DType::kFloat32;
using Floats = std::vector<float>;

template <class T>
DevicePtr at(std::vector<T>& values) {
  return DevicePtr(values.data());
}

uint64_t hash(std::vector<uint8_t> bytes) {
  const int64_t n = static_cast<int64_t>(bytes.size());
  bytes.resize((bytes.size() + 7) / 4 * 4);
  std::vector<uint8_t> scratch(checksum_scratch_bytes(n) + 8);
  std::vector<uint64_t> result(1), aligned(scratch.size() / 8 + 1);
  std::vector<uint32_t> words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  checksum(kHost, n, at(words), at(aligned), at(result));
  return result[0];
}

}  // namespace

TEST_CASE("batch norm of one and three is minus one and one") {
  // Column 0: mean 2, M2 = 1 + 1 = 2. Column 1 is constant: M2 = 0.
  Floats x = {1, 5, 3, 5}, mean(2), m2(2), rstd(2), scratch(8), running_mean = {0, 0},
         running_var = {1, 1};
  batch_norm_statistics(kHost, kFloat, {at(x), 2, 2, at(scratch), at(mean), at(m2)});
  CHECK(mean == Floats{2, 5});
  CHECK(m2 == Floats{2, 0});
  // Variance 2 / 2 = 1, unbiased 2 / 1 = 2: running 1 + 0.5 (2 - 1) = 1.5; epsilon 3: rstd 1/2.
  batch_norm_finish(
      kHost, {at(mean), at(m2), 2, 2, 3.0f, 0.5f, at(rstd), at(running_mean), at(running_var)});
  CHECK(rstd[0] == 0.5f);
  CHECK(running_mean == Floats{1, 2.5});
  CHECK(running_var == Floats{1.5, 0.5});
}

TEST_CASE("merged replicas have the statistics of all rows") {
  // Rows 1, 3 on one replica (mean 2, M2 2) and 5, 7 on the other (mean 6, M2 2): together mean 4,
  // M2 = 9 + 1 + 1 + 9 = 20 = (2 + 2 (2 - 4)^2) + (2 + 2 (6 - 4)^2).
  Floats local = {2}, mean = {8}, m2 = {2};
  batch_norm_merge(kHost, {at(local), at(mean), at(m2), 2, 1, 2});
  CHECK(mean[0] == 4.0f);
  CHECK(m2[0] == 10.0f);
}

TEST_CASE("max pooling takes the first of equal maxima and shows a NaN") {
  // 1 x 4 x 1: windows (2, 2), (7, NaN); the first place of the first window gets the gradient.
  Floats x = {2, 2, 7, NAN, 2, 1, 0, 0}, y(2), dy = {10, 20}, dx(8, -1.0f);
  std::vector<uint8_t> taps(2);
  const PoolShape shape = window_pool(1, 2, 4, 1, 2, 2, 0);
  max_pool_forward(kHost, kFloat, shape, at(x), at(y), at(taps));
  CHECK(y[0] == 2.0f);
  CHECK(std::isnan(y[1]));
  max_pool_backward(kHost, kFloat, shape, at(taps), at(dy), at(dx));
  CHECK(dx == Floats{10, 0, 0, 20, 0, 0, 0, 0});
}

TEST_CASE("padding never wins a maximum") {
  // All inputs negative; a zero from the padding would be larger.
  Floats x = {-4, -3, -2, -1}, y(4);
  max_pool_forward(kHost, kFloat, window_pool(1, 2, 2, 1, 3, 1, 1), at(x), at(y), DevicePtr());
  CHECK(y == Floats{-1, -1, -1, -1});
}

TEST_CASE("adaptive bins are PyTorch's") {
  // 5 to 3: bins [0, 2), [1, 4), [3, 5). 1 to 3 replicates; its gradient is the sum.
  Floats x = {0, 1, 2, 3, 4}, y(3), dy = {2, 3, 4}, dx(5);
  const PoolShape shrink = adaptive_pool(1, 1, 5, 1, 1, 3);
  average_pool_forward(kHost, kFloat, shrink, at(x), at(y));
  CHECK(y == Floats{0.5f, 2.0f, 3.5f});
  average_pool_backward(kHost, kFloat, shrink, at(dy), at(dx));
  CHECK(dx == Floats{1, 2, 1, 3, 2});
  Floats one = {7}, done(1);
  const PoolShape enlarge = adaptive_pool(1, 1, 1, 1, 1, 3);
  average_pool_forward(kHost, kFloat, enlarge, at(one), at(y));
  CHECK(y == Floats{7, 7, 7});
  average_pool_backward(kHost, kFloat, enlarge, at(dy), at(done));
  CHECK(done[0] == 9.0f);
}

TEST_CASE("average windows count their padding") {
  // One pixel of 9 in a 3 x 3 window with padding 1: 9 / 9.
  Floats x = {9}, y(1);
  average_pool_forward(kHost, kFloat, window_pool(1, 1, 1, 1, 3, 1, 1), at(x), at(y));
  CHECK(y[0] == 1.0f);
  CHECK_THROWS_AS(window_pool(1, 2, 2, 1, 3, 1, 0), std::invalid_argument);
  CHECK_THROWS_AS(window_pool(1, 9, 9, 1, 3, 1, 2), std::invalid_argument);
}

TEST_CASE("ties, strangers and NaN in the ranking") {
  // Row 0: label 1 ties with class 0, which comes first: rank 1. Row 1: label 0 ties with class 1:
  // rank 0. Row 2: no such label. Row 3: the label's logit is NaN. Row 4: rank 5 of 6.
  Floats logits = {5, 5, 0, 0, 0, 0, 5, 5, 0,   0, 0, 0, 1, 2, 3,
                   4, 5, 6, 1, 2, 3, 4, 5, NAN, 0, 1, 2, 3, 4, 5};
  std::vector<int32_t> labels = {1, 0, 6, 5, 0};
  Floats ranks(5), hits(2);
  count_top_hits(kHost, kFloat, {at(logits), at(labels), 5, 6, at(ranks), at(hits)});
  CHECK(hits == Floats{1, 2});
}

TEST_CASE("with few classes every known label is a top-5 hit") {
  Floats logits = {3, 2, 1}, ranks(1), hits(2);
  std::vector<int32_t> labels = {2};
  count_top_hits(kHost, kFloat, {at(logits), at(labels), 1, 3, at(ranks), at(hits)});
  CHECK(hits == Floats{0, 1});
}

TEST_CASE("padding of an image is black before it is normalised") {
  // One row 51, 102 = 0.2, 0.4 with a border of one; crop at column 0 of the padded row (0, 51,
  // 102, 0), two wide, mirrored: 0.2, 0. Mean 0.1, 1/std 10: 1, -1.
  std::vector<uint8_t> pixels = {51, 102};
  std::vector<int32_t> crops = {1, 0, 1};
  Floats y(2);
  ImagePrepare a;
  a.pixels = at(pixels), a.crops = at(crops);
  a.batch = 1, a.height = 1, a.width = 2, a.channels = 1, a.padding = 1;
  a.out_height = 1, a.out_width = 2;
  a.mean[0] = 0.1f, a.inverse_std[0] = 10.0f;
  prepare_image_batch(kHost, kFloat, a, at(y));
  CHECK(std::fabs(y[0] - 1.0f) < 1e-6f);
  CHECK(std::fabs(y[1] + 1.0f) < 1e-6f);
  a.channels = 4;
  CHECK_THROWS_AS(prepare_image_batch(kHost, kFloat, a, at(y)), std::invalid_argument);
}

TEST_CASE("patches are read row by row") {
  // 4 x 4 image 0..15, patches of 2: the second one starts at column 2.
  Floats x(16), y(16);
  for (int i = 0; i < 16; ++i) x[i] = static_cast<float>(i);
  extract_patches(kHost, kFloat, {1, 4, 4, 1, 2}, at(x), at(y));
  CHECK(y == Floats{0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15});
  CHECK_THROWS_AS(extract_patches(kHost, kFloat, {1, 4, 4, 1, 3}, at(x), at(y)),
                  std::invalid_argument);
}

TEST_CASE("a transpose moves bits, NaN payloads too") {
  std::vector<BFloat16> x = {{1}, {0x7f81}, {3}, {4}, {5}, {6}}, y(6);
  transpose(kHost, DType::kBFloat16, 2, 3, at(x), at(y));
  const uint16_t wanted[] = {1, 4, 0x7f81, 5, 3, 6};
  for (int i = 0; i < 6; ++i) CHECK(y[i].bits == wanted[i]);
}

TEST_CASE("the checksum sees order, length and every byte") {
  const uint64_t hash_of_ten = hash({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK(hash_of_ten == hash({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  CHECK(hash_of_ten != hash({5, 6, 7, 8, 1, 2, 3, 4, 9, 10}));
  CHECK(hash_of_ten != hash({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0}));
  CHECK(hash_of_ten != hash({1, 2, 3, 4, 5, 6, 7, 8, 9, 11}));
  CHECK(hash({}) != hash({0}));
}

TEST_CASE("non-finite elements are counted by their bits") {
  const float infinity = std::numeric_limits<float>::infinity();
  Floats x = {0, 1, infinity, -infinity, NAN, 3e38f, 1e-45f};
  std::vector<uint64_t> scratch(1);
  std::vector<int64_t> count(1);
  count_non_finite(kHost, kFloat, 7, at(x), at(scratch), at(count));
  CHECK(count[0] == 3);
}

}  // namespace ab
