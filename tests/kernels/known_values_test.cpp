// Kernels on inputs whose results can be worked out by hand, written beside each check.
#include <cmath>
#include <vector>

#include "kernels/activation.h"
#include "kernels/cast.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/layer_norm.h"
#include "kernels/numbers.h"
#include "kernels/softmax.h"
#include "tests/catch.h"

namespace ab {
namespace {

constexpr Stream kHost;

template <class T>
DevicePtr at(std::vector<T>& values) {
  return DevicePtr(values.data());
}

}  // namespace

TEST_CASE("Philox4x32-10 gives the published answers") {
  // Known-answer vectors of the Random123 library: counter and key all zero, and all ones.
  const Random4 zero = philox(0, 0, 0);
  CHECK(zero.x == 0x6627e8d5u);
  CHECK(zero.y == 0xe169c58du);
  CHECK(zero.z == 0xbc57ac4cu);
  CHECK(zero.w == 0x9b00dbd8u);
  const Random4 ones = philox(~0ull, ~0ull, ~0ull);
  CHECK(ones.x == 0x408f276du);
  CHECK(ones.y == 0x41c83b0eu);
  CHECK(ones.z == 0xa20bc7c6u);
  CHECK(ones.w == 0x6d5451fdu);
}

TEST_CASE("cast rounds to nearest, ties to even, and keeps NaN") {
  // bf16 has 8 bits of precision: between 1 and 2 its spacing is 2^-7. 1 + 2^-8 lies halfway
  // between 1 and 1 + 2^-7 and goes to the even one, 1; 1 + 3 * 2^-8 lies halfway and goes up to 1
  // + 2^-6.
  std::vector<float> x = {1.0f + 0x1p-8f, 1.0f + 3 * 0x1p-8f, -1.0f - 0x1.8p-8f, NAN};
  std::vector<BFloat16> y(4);
  cast(kHost, 4, at(x), DType::kFloat32, at(y), DType::kBFloat16);
  CHECK(load(y[0]) == 1.0f);
  CHECK(load(y[1]) == 1.0f + 0x1p-6f);
  CHECK(load(y[2]) == -1.0f - 0x1p-7f);
  CHECK(std::isnan(load(y[3])));
}

TEST_CASE("relu keeps a NaN visible") {
  std::vector<float> x = {-2.0f, 0.0f, 3.0f, NAN}, y(4);
  relu_forward(kHost, DType::kFloat32, 4, at(y), at(x));
  CHECK(y[0] == 0.0f);
  CHECK(y[1] == 0.0f);
  CHECK(y[2] == 3.0f);
  CHECK(std::isnan(y[3]));
}

TEST_CASE("gelu of 0 and of large numbers is 0, x and 0") {
  // Phi(0) = 1/2, so gelu(0) = 0; Phi(9) = 1 - 1e-19 rounds to 1; gelu(-20) = -20 * 3e-89
  // underflows.
  std::vector<float> z = {0.0f, 9.0f, -20.0f}, y(3), expected = {0.0f, 9.0f, 0.0f};
  gelu_forward(kHost, DType::kFloat32, 3, at(y), at(z));
  CHECK(y == expected);
}

TEST_CASE("softmax of logarithms gives their shares") {
  // exp(ln 1), exp(ln 2), exp(ln 5) = 1, 2, 5: shares 1/8, 2/8, 5/8, whatever is added to the row.
  std::vector<float> x = {std::log(1.0f) + 50.0f, std::log(2.0f) + 50.0f, std::log(5.0f) + 50.0f};
  std::vector<float> y(3);
  softmax_forward(kHost, DType::kFloat32, {1, 3, at(x), at(y), 1.0f});
  CHECK(y[0] == Approx(0.125).epsilon(1e-5));
  CHECK(y[1] == Approx(0.25).epsilon(1e-5));
  CHECK(y[2] == Approx(0.625).epsilon(1e-5));
}

TEST_CASE("cross-entropy of equal logits is ln C, and its gradient is softmax minus target") {
  // Four equal logits: loss ln 4 with or without smoothing. Smoothing 0.2: target of the label
  // 0.8 + 0.05, of the others 0.05; gradient (0.25 - target) / rows, rows = 2.
  std::vector<float> x(8, 1000.0f), statistics(4), row_loss(2), loss(1), dx(8);
  std::vector<int32_t> labels = {1, 3};
  const CrossEntropy a{2, 4, at(x), at(labels), at(statistics), 0.2f};
  cross_entropy_forward(kHost, DType::kFloat32, a, at(row_loss), at(loss));
  CHECK(loss[0] == Approx(std::log(4.0)).epsilon(1e-6));
  cross_entropy_backward(kHost, DType::kFloat32, a, at(dx), 1.0f);
  CHECK(dx[1] == Approx(-0.3).epsilon(1e-6));
  CHECK(dx[0] == Approx(0.1).epsilon(1e-6));
  CHECK(dx[7] == Approx(-0.3).epsilon(1e-6));

  labels[0] = 4;  // no such class: a loss that cannot be overlooked
  cross_entropy_forward(kHost, DType::kFloat32, a, at(row_loss), at(loss));
  CHECK(std::isnan(loss[0]));
}

TEST_CASE("layer norm of 1, 3 is -1, 1") {
  // Mean 2, variance 1, epsilon 0: xhat = -1, 1; y = 2 xhat + 10.
  std::vector<float> x = {1.0f, 3.0f}, gamma = {2.0f, 2.0f}, beta = {10.0f, 10.0f};
  std::vector<float> y(2), mean(1), rstd(1);
  layer_norm_forward(kHost, DType::kFloat32,
                     {1, 2, at(x), at(y), at(gamma), at(beta), at(mean), at(rstd), 0.0f});
  CHECK(mean[0] == 2.0f);
  CHECK(rstd[0] == 1.0f);
  CHECK(y == std::vector<float>{8.0f, 12.0f});
}

TEST_CASE("a sample drops the same elements wherever it stands in a batch") {
  // Samples 5..8 drawn as one batch and as two: the same masks. Kept elements become x / (1 - 1/4).
  constexpr int64_t kElements = 5001;
  std::vector<float> x(4 * kElements, 3.0f), whole(4 * kElements), parts(4 * kElements);
  Dropout a{4, kElements, at(x), at(whole), 0.25f, {9, 2}, 5};
  dropout(kHost, DType::kFloat32, a);
  Dropout half{2, kElements, at(x), at(parts), 0.25f, {9, 2}, 5};
  dropout(kHost, DType::kFloat32, half);
  half.first_sample = 7;
  half.y = at(parts).plus_bytes(2 * kElements * sizeof(float));
  dropout(kHost, DType::kFloat32, half);
  CHECK(whole == parts);
  uint64_t origin = 1999;  // 1999 + 3 = 2002
  std::vector<float> later(4 * kElements), moved(4 * kElements);
  dropout(kHost, DType::kFloat32, {4, kElements, at(x), at(later), 0.25f, {9, 2002}, 5});
  Dropout from = {4, kElements, at(x), at(moved), 0.25f, {9, 3}, 5};
  from.origin = DevicePtr(&origin);
  dropout(kHost, DType::kFloat32, from);
  CHECK(later == moved);
  CHECK(later != whole);
  int64_t kept = 0;
  for (const float y : whole) {
    REQUIRE((y == 0.0f || y == Approx(4.0)));
    kept += y != 0.0f;
  }
  // 20004 draws with probability 3/4: standard deviation 61, so 5 of them allow 305.
  CHECK(std::abs(kept - 15003) < 305);
  a.rate = 1.0f;
  CHECK_THROWS_AS(dropout(kHost, DType::kFloat32, a), std::invalid_argument);
}

TEST_CASE("drop path drops whole samples and leaves the residual") {
  constexpr int64_t kSamples = 1000;
  std::vector<float> x(2 * kSamples, 1.0f), branch(2 * kSamples, 3.0f), out(2 * kSamples);
  drop_path_add(kHost, DType::kFloat32, {kSamples, 2, at(x), at(branch), at(out), 0.5f, {1, 1}, 0});
  int64_t kept = 0;
  for (int64_t s = 0; s < kSamples; ++s) {
    CHECK(out[2 * s] == out[2 * s + 1]);
    REQUIRE((out[2 * s] == 1.0f || out[2 * s] == 7.0f));  // 1 + 3 / (1 - 1/2)
    kept += out[2 * s] == 7.0f;
  }
  CHECK(std::abs(kept - 500) < 80);  // standard deviation 15.8
}

}  // namespace ab
