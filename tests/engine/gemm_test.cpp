// Products against float64 on awkward shapes, all transposes, types, batches with the strides of
// heads.
#include "engine/gemm.h"

#include <stdexcept>

#include "engine/error.h"
#include "tests/engine/seam_reference.h"

namespace ab::test {
namespace {

struct Case {
  int64_t m, n, k;
  bool ta, tb;
  float alpha = 1.0f, beta = 0.0f;
  DType dtype = DType::kFloat32, result = DType::kFloat32;
  int64_t pad = 0;  // how much longer than needed the stored rows are
  int64_t outer = 1, inner = 1;
  bool bias = false;
};

// Inner products lie side by side in a row, as attention heads do: row length inner * columns +
// pad.
Matrix place(const Case& c, int64_t rows, int64_t columns, bool transposed) {
  const int64_t stored_rows = transposed ? columns : rows, width = transposed ? rows : columns;
  const int64_t ld = c.inner * width + c.pad;
  return {DevicePtr(), ld, transposed, stored_rows * ld, width};
}

int64_t extent(const Matrix& x, const Case& c) {
  return c.outer * x.outer_stride;
}

int64_t at(const Matrix& x, int64_t o, int64_t i, int64_t row, int64_t column) {
  return o * x.outer_stride + i * x.inner_stride +
         (x.transposed ? column * x.ld + row : row * x.ld + column);
}

double check(const Case& c) {
  Rig rig;
  GemmArguments g;
  g.m = c.m, g.n = c.n, g.k = c.k;
  g.a = place(c, c.m, c.k, c.ta), g.b = place(c, c.k, c.n, c.tb), g.c = place(c, c.m, c.n, false);
  g.alpha = c.alpha, g.beta = c.beta, g.dtype = c.dtype, g.result_dtype = c.result;
  g.outer = c.outer, g.inner = c.inner;
  const auto a = numbers(extent(g.a, c), 1, c.dtype), b = numbers(extent(g.b, c), 2, c.dtype);
  auto before = numbers(extent(g.c, c), 3, c.result);
  const auto offsets = numbers(c.n + 1, 4, c.result);  // the bias begins at the second: odd address
  if (c.beta == 0.0f)                                  // what C held must not matter
    for (float& x : before) x = std::nanf("");
  std::vector<Sum> expected(before.size());
  std::vector<char> written(before.size(), 0);
  for (int64_t o = 0; o < c.outer; ++o)
    for (int64_t i = 0; i < c.inner; ++i)
      for (int64_t row = 0; row < c.m; ++row)
        for (int64_t column = 0; column < c.n; ++column) {
          const int64_t place = at(g.c, o, i, row, column);
          Sum& sum = expected[place];
          for (int64_t k = 0; k < c.k; ++k)
            sum.add(static_cast<double>(c.alpha) * a[at(g.a, o, i, row, k)] *
                    b[at(g.b, o, i, k, column)]);
          if (c.beta != 0.0f) sum.add(static_cast<double>(c.beta) * before[place]);
          if (c.bias) sum.add(offsets[column + 1]);
          written[place] = 1;
        }

  const Buffer device_a = upload(rig, a, c.dtype), device_b = upload(rig, b, c.dtype);
  const Buffer device_offsets = upload(rig, offsets, c.result);
  if (c.bias) g.bias = device_offsets.data().plus_bytes(size_of(c.result));
  std::vector<float> results[2];
  for (auto& result : results) {
    const Buffer device_c = upload(rig, before, c.result);
    g.a.data = device_a.data(), g.b.data = device_b.data(), g.c.data = device_c.data();
    rig.device->gemm().multiply(rig.stream, rig.arena, g);
    rig.arena.end_step();
    result = download(rig, device_c.data(), before.size(), c.result);
  }
  CHECK(same_bits(results[0], results[1]));
  CHECK(rig.device->flops == 2.0 * 2.0 * c.m * c.n * c.k * c.outer * c.inner);
  // Padding between rows stays as it was.
  std::vector<float> actual;
  std::vector<Sum> wanted;
  for (size_t i = 0; i < before.size(); ++i) {
    if (written[i]) {
      actual.push_back(results[0][i]);
      wanted.push_back(expected[i]);
    } else if (std::memcmp(&results[0][i], &before[i], sizeof(float)) != 0) {
      FAIL_CHECK("element " << i << " outside C was written");
    }
  }
  return worst(actual, wanted, c.k + 1, c.result);
}

TEST_CASE("gemm: known product", "[gemm]") {
  // (1 2; 3 4)(5 6; 7 8) = (19 22; 43 50)
  Rig rig;
  const Buffer a = upload(rig, {1, 2, 3, 4}), b = upload(rig, {5, 6, 7, 8});
  const Buffer c = upload(rig, {1, 1, 1, 1});
  const auto tensor = [](const Buffer& x) { return Tensor(x.data(), {2, 2}, DType::kFloat32); };
  multiply(rig.arena, rig.stream, tensor(a), false, tensor(b), false, tensor(c));
  CHECK(download(rig, c.data(), 4) == std::vector<float>{19, 22, 43, 50});
  // A^T B = (1 3; 2 4)(5 6; 7 8) = (26 30; 38 44), added to what is there.
  multiply(rig.arena, rig.stream, tensor(a), true, tensor(b), false, tensor(c), 1.0f);
  CHECK(download(rig, c.data(), 4) == std::vector<float>{45, 52, 81, 94});
}

TEST_CASE("gemm: fp32 agrees with float64 on every transpose", "[gemm]") {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const float beta : {0.0f, 1.0f, 0.5f}) {
        CAPTURE(ta, tb, beta);
        CHECK(check({1, 1, 1, ta, tb, 1.0f, beta}) <= 1.0);
        CHECK(check({13, 7, 31, ta, tb, 1.0f, beta}) <= 1.0);
        CHECK(check({1, 33, 17, ta, tb, -2.0f, beta}) <= 1.0);
        CHECK(check({65, 1, 129, ta, tb, 1.0f, beta}) <= 1.0);
        CHECK(check({37, 41, 43, ta, tb, 0.25f, beta, DType::kFloat32, DType::kFloat32, 3}) <= 1.0);
      }
}

TEST_CASE("gemm: shapes that take the primitive", "[gemm]") {
  CHECK(check({17, 257, 263, false, true}) <= 1.0);
  CHECK(check({17, 257, 263, false, true, 0.5f, 2.0f}) <= 1.0);
  CHECK(check({257, 19, 521, true, false, 1.0f, 1.0f}) <= 1.0);
  CHECK(check({257, 19, 521, true, false, 3.0f, 0.0f, DType::kFloat32, DType::kFloat32, 5}) <= 1.0);
}

TEST_CASE("gemm: rows of B a multiple of two kilobytes apart", "[gemm]") {
  for (const float beta : {0.0f, 1.0f}) {
    CHECK(check({33, 512, 40, false, false, 1.0f, beta}) <= 1.0);
    CHECK(check({32, 500, 9, false, false, 0.5f, beta, DType::kFloat32, DType::kFloat32, 12}) <=
          1.0);
  }
  CHECK(check({32, 1536, 5, false, false, 1.0f, 1.0f}) <= 1.0);  // more than a panel
  CHECK(check({40, 512, 3, false, false, 1.0f, 0.0f, DType::kFloat32, DType::kFloat32, 0, 1, 1,
               true}) <= 1.0);
}

TEST_CASE("gemm: bf16 into bf16 and fp32", "[gemm]") {
  for (const DType result : {DType::kBFloat16, DType::kFloat32})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const float beta : {0.0f, 1.0f}) {
          CAPTURE(ta, tb, beta, name_of(result));
          CHECK(check({1, 1, 1, ta, tb, 1.0f, beta, DType::kBFloat16, result}) <= 1.0);
          CHECK(check({13, 7, 31, ta, tb, 1.0f, beta, DType::kBFloat16, result}) <= 1.0);
          CHECK(check({37, 64, 65, ta, tb, 0.125f, beta, DType::kBFloat16, result, 3}) <= 1.0);
        }
}

TEST_CASE("gemm: batches with the strides of attention heads", "[gemm]") {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const float beta : {0.0f, 1.0f}) {
          CAPTURE(ta, tb, beta, name_of(dtype));
          CHECK(check({19, 17, 16, ta, tb, 0.25f, beta, dtype, dtype, 0, 3, 4}) <= 1.0);
          CHECK(check({5, 3, 1, ta, tb, 1.0f, beta, dtype, dtype, 2, 1, 7}) <= 1.0);
          CHECK(check({9, 11, 23, ta, tb, 1.0f, beta, dtype, dtype, 1, 1, 1}) <= 1.0);
        }
}

TEST_CASE("gemm: a bias goes to every row, wherever it begins", "[gemm]") {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16})
    for (const DType result : {dtype, DType::kFloat32})
      for (const bool tb : {false, true}) {
        CAPTURE(name_of(dtype), name_of(result), tb);
        const auto with_bias = [&](int64_t m, int64_t n, int64_t k, int64_t pad) {
          return check({m, n, k, false, tb, 1.0f, 0.0f, dtype, result, pad, 1, 1, true});
        };
        CHECK(with_bias(1, 1, 1, 0) <= 1.0);
        CHECK(with_bias(13, 7, 31, 0) <= 1.0);
        CHECK(with_bias(37, 41, 43, 3) <= 1.0);
        CHECK(with_bias(17, 257, 263, 0) <= 1.0);  // a primitive on the host
      }
}

TEST_CASE("gemm: a long sum is the same to the bit every time", "[gemm]") {
  Rig rig;
  const int64_t m = 96, n = 64, k = 20011;
  const Buffer a = upload(rig, numbers(k * m, 1)), b = upload(rig, numbers(k * n, 2));
  const Buffer c(*rig.device, m * n * sizeof(float));
  std::vector<float> first;
  for (int i = 0; i < 20; ++i) {
    multiply(rig.arena, rig.stream, Tensor(a.data(), {k, m}, DType::kFloat32), true,
             Tensor(b.data(), {k, n}, DType::kFloat32), false,
             Tensor(c.data(), {m, n}, DType::kFloat32));
    rig.arena.end_step();
    const auto now = download(rig, c.data(), m * n);
    if (i == 0) first = now;
    REQUIRE(same_bits(first, now));
  }
}

TEST_CASE("gemm: a repeated step takes no memory", "[gemm]") {
  Rig rig;
  const Buffer a = upload(rig, numbers(64 * 320, 1)), b = upload(rig, numbers(320 * 320, 2));
  const auto step = [&] {
    const Tensor x(a.data(), {64, 320}, DType::kFloat32), w(b.data(), {320, 320}, DType::kFloat32);
    Tensor y(rig.arena, {64, 320}, DType::kFloat32);
    multiply(rig.arena, rig.stream, x, false, w, true, y);
  };
  step();
  rig.arena.end_step();
  const int64_t before = rig.device->memory().allocations;
  step();
  rig.arena.end_step();
  CHECK(rig.device->memory().allocations == before);
}

TEST_CASE("gemm: a dry device counts and touches nothing", "[gemm]") {
  Rig rig(DeviceKind::kDry);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    const Tensor a(rig.arena, {1576, 768}, dtype), b(rig.arena, {2304, 768}, dtype);
    Tensor c(rig.arena, {1576, 2304}, dtype);
    multiply(rig.arena, rig.stream, a, false, b, true, c);
  }
  CHECK(rig.device->flops == 2 * 2.0 * 1576 * 768 * 2304);
}

TEST_CASE("gemm: arguments that cannot be meant are refused", "[gemm]") {
  Rig rig;
  const Buffer memory = upload(rig, numbers(64, 1));
  const Tensor a(memory.data(), {2, 3}, DType::kFloat32), b(memory.data(), {4, 3}, DType::kFloat32);
  const Tensor c(memory.data(), {2, 4}, DType::kFloat32);
  CHECK_THROWS_AS(multiply(rig.arena, rig.stream, a, false, b, false, c), std::invalid_argument);
  GemmArguments g;
  g.m = 2, g.n = 2, g.k = 3;
  g.a = {memory.data(), 2}, g.b = {memory.data(), 2}, g.c = {memory.data(), 2};
  CHECK_THROWS_AS(rig.device->gemm().multiply(rig.stream, rig.arena, g), std::invalid_argument);
  const Tensor short_bias(memory.data(), {3}, DType::kFloat32);
  CHECK_THROWS_AS(affine(rig.arena, rig.stream, a, b, short_bias, c), std::invalid_argument);
  g.a.ld = 3, g.bias = memory.data(), g.beta = 1.0f;
  CHECK_THROWS_AS(rig.device->gemm().multiply(rig.stream, rig.arena, g), std::invalid_argument);
}

}  // namespace
}  // namespace ab::test
