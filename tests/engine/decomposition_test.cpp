// The truncated factorisation: a case worked out by hand, known spectra, the cut, the signs, bad
// input.
#include "engine/decomposition.h"

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "engine/error.h"
#include "engine/random_orthogonal.h"
#include "tests/engine/seam_reference.h"

namespace ab::test {
namespace {

constexpr SvdRoute kRoutes[] = {SvdRoute::kGram, SvdRoute::kFull};

struct Result {
  DecompositionReport report;
  std::vector<float> a, b;
};

Result decompose(Rig& rig, const std::vector<float>& w, int64_t m, int64_t n, float cutoff,
                 SvdRoute route = SvdRoute::kAuto) {
  const Buffer buffer = upload(rig, w);
  const Tensor matrix(buffer.data(), {m, n}, DType::kFloat32);
  Result result;
  {
    const Factors factors =
        rig.device->decomposition().decompose(rig.stream, rig.arena, matrix, cutoff, route);
    result.report = factors.report;
    REQUIRE(factors.a.shape() == Shape{m, result.report.k});
    REQUIRE(factors.b.shape() == Shape{result.report.k, n});
    result.a = download(rig, factors.a.data(), factors.a.elements());
    result.b = download(rig, factors.b.data(), factors.b.elements());
  }
  rig.arena.end_step();
  CHECK(same_bits(download(rig, buffer.data(), m * n), w));
  return result;
}

// sigma_j twice over: A = U S^1/2 and B = S^1/2 V^T have columns and rows of norm sigma^1/2.
std::vector<double> sigma_of(const std::vector<float>& x, int64_t rows, int64_t columns,
                             bool by_rows) {
  std::vector<double> sigma(by_rows ? rows : columns, 0.0);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      sigma[by_rows ? i : j] += static_cast<double>(x[i * columns + j]) * x[i * columns + j];
  return sigma;
}

std::vector<float> orthonormal(int64_t m, int64_t n, uint64_t seed) {
  std::vector<float> q(m * n);
  random_orthogonal(seed, 0, m, n, q.data());
  return q;
}

// U diag(sigma) V^T with U (m, r) and V (n, r) orthonormal.
std::vector<float> with_spectrum(int64_t m, int64_t n, const std::vector<double>& sigma) {
  const int64_t r = static_cast<int64_t>(sigma.size());
  const std::vector<float> u = orthonormal(m, r, 5), v = orthonormal(n, r, 6);
  std::vector<float> w(m * n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0.0;
      for (int64_t k = 0; k < r; ++k)
        sum += sigma[k] * u[i * r + k] * static_cast<double>(v[j * r + k]);
      w[i * n + j] = static_cast<float>(sum);
    }
  return w;
}

TEST_CASE("decomposition: a case worked out by hand", "[decomposition]") {
  // W = (3 0; 4 5): W^T W = (25 20; 20 25) has eigenvalues 45 and 5, so sigma = 3 sqrt 5 and sqrt
  // 5, v1 = (1 1)/sqrt 2, v2 = (1 -1)/sqrt 2, u1 = (1 3)/sqrt 10, u2 = (3 -1)/sqrt 10; both columns
  // of U have their largest entry positive.
  const double s1 = std::sqrt(3.0 * std::sqrt(5.0)), s2 = std::sqrt(std::sqrt(5.0));
  const double u = 1.0 / std::sqrt(10.0), v = 1.0 / std::sqrt(2.0);
  const std::vector<double> a{u * s1, 3 * u * s2, 3 * u * s1, -u * s2};
  const std::vector<double> b{v * s1, v * s1, v * s2, -v * s2};
  for (const SvdRoute route : kRoutes) {
    Rig rig;
    const Result whole = decompose(rig, {3, 0, 4, 5}, 2, 2, 0.0f, route);
    REQUIRE(whole.a.size() == 4);
    for (int i = 0; i < 4; ++i) {
      CHECK(whole.a[i] == Approx(a[i]).epsilon(1e-6));
      CHECK(whole.b[i] == Approx(b[i]).epsilon(1e-6));
    }
    CHECK(whole.report.sigma_max == Approx(3.0 * std::sqrt(5.0)).epsilon(1e-6));
    CHECK((whole.report.driver == "gram") == (route == SvdRoute::kGram));
    // sigma_2 / sigma_1 = 1/3: a cutoff of 0.34 leaves rank 1 and loses 5 of 50.
    const Result cut = decompose(rig, {3, 0, 4, 5}, 2, 2, 0.34f, route);
    CHECK(cut.report.k == 1);
    CHECK(cut.report.energy_lost == Approx(0.1).epsilon(1e-5));
    CHECK(cut.report.residual == Approx(std::sqrt(0.1)).epsilon(1e-5));
  }
}

TEST_CASE("decomposition: the spectrum is told as a whole, before the cut", "[decomposition]") {
  // round(10^(i / 31)): every place is met; 1000: the second new place after 1 is 2, the last is n.
  CHECK(spectrum_places(10) == std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK(spectrum_places(1) == std::vector<int64_t>{1});
  const std::vector<int64_t> many = spectrum_places(1000);
  CHECK((many.front() == 1 && many[1] == 2 && many.back() == 1000));
  CHECK(many.size() <= static_cast<size_t>(kSpectrumPoints));
  CHECK(std::is_sorted(many.begin(), many.end()));
  CHECK(sample_spectrum({0.0, 0.0}) == std::vector<float>{0.0f, 0.0f});
  const std::vector<float> w{4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0};  // sigma 4, 2, 1
  for (const SvdRoute route : kRoutes) {
    Rig rig;
    const Result cut = decompose(rig, w, 4, 3, 0.5f, route);
    CHECK(cut.report.k == 1);
    REQUIRE(cut.report.spectrum.size() == 3);
    CHECK(cut.report.spectrum[0] == 1.0f);
    CHECK(cut.report.spectrum[1] == Approx(0.5).epsilon(1e-6));
    CHECK(cut.report.spectrum[2] == Approx(0.25).epsilon(1e-6));
  }
}

TEST_CASE("decomposition: sigma equal to the cut is dropped", "[decomposition]") {
  const std::vector<float> w{4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0};  // sigma 4, 2, 1, exact in fp32
  for (const SvdRoute route : kRoutes) {
    Rig rig;
    CHECK(decompose(rig, w, 4, 3, 0.5f, route).report.k == 1);
    CHECK(decompose(rig, w, 4, 3, 0.499f, route).report.k == 2);
    CHECK(decompose(rig, w, 4, 3, 0.25f, route).report.k == 2);
    CHECK(decompose(rig, w, 4, 3, 0.249f, route).report.k == 3);
    CHECK(decompose(rig, w, 4, 3, 0.99f, route).report.k == 1);
  }
}

TEST_CASE("decomposition: known spectra come back", "[decomposition]") {
  // Backward stability: sigma is off by a modest multiple of 2^-23 sigma_max; n is that multiple
  // here.
  for (const auto& [m, n] : {std::pair(1, 1), {7, 7}, {53, 29}, {257, 64}})
    for (const SvdRoute route : kRoutes) {
      CAPTURE(m, n, static_cast<int>(route));
      Rig rig;
      std::vector<double> sigma(n);
      for (int64_t j = 0; j < n; ++j) sigma[j] = 3.0 * std::pow(0.9, static_cast<double>(j));
      const float cutoff = 0.051f;
      int64_t expected_k = 0;
      double kept = 0.0, lost = 0.0;
      for (const double s : sigma) {
        (s > cutoff * sigma[0] ? kept : lost) += s * s;
        expected_k += s > cutoff * sigma[0];
      }
      const Result result = decompose(rig, with_spectrum(m, n, sigma), m, n, cutoff, route);
      const DecompositionReport& report = result.report;
      REQUIRE(report.k == expected_k);
      const double bound = static_cast<double>(n + 3) * 0x1p-23 * sigma[0];
      CHECK(std::fabs(report.sigma_max - sigma[0]) <= bound);
      const auto from_a = sigma_of(result.a, m, report.k, false);
      const auto from_b = sigma_of(result.b, report.k, n, true);
      for (int64_t j = 0; j < report.k; ++j) {
        CHECK(std::fabs(from_a[j] - sigma[j]) <= bound);
        CHECK(std::fabs(from_b[j] - sigma[j]) <= bound);
        double high = 0.0, low = 0.0;
        for (int64_t i = 0; i < m; ++i) {
          high = std::max<double>(high, result.a[i * report.k + j]);
          low = std::min<double>(low, result.a[i * report.k + j]);
        }
        CHECK(high >= -low);
      }
      CHECK(std::fabs(report.residual - std::sqrt(lost / (kept + lost))) <= bound);
      CHECK(std::fabs(report.energy_lost - lost / (kept + lost)) <= bound);
    }
}

TEST_CASE("decomposition: an orthonormal matrix keeps everything", "[decomposition]") {
  const int64_t m = 97, n = 31;
  const std::vector<float> q = orthonormal(m, n, 5);
  for (const SvdRoute route : kRoutes) {
    Rig rig;
    const Result result = decompose(rig, q, m, n, 0.99f, route);
    CHECK(result.report.k == n);
    for (const double s : sigma_of(result.a, m, n, false)) CHECK(std::fabs(s - 1) <= m * 0x1p-23);
  }
}

TEST_CASE("decomposition: rank-deficient and zero matrices", "[decomposition]") {
  for (const SvdRoute route : kRoutes) {
    Rig rig;
    const Result three =
        decompose(rig, with_spectrum(60, 20, {1.0, 0.5, 0.25}), 60, 20, 0.05f, route);
    CHECK(three.report.k == 3);
    CHECK(three.report.residual <= 20 * 0x1p-23);
    const Result zero = decompose(rig, std::vector<float>(12, 0.0f), 4, 3, 0.15f, route);
    CHECK(zero.report.residual == 0.0f);
    CHECK(zero.a == std::vector<float>(4, 0.0f));  // rank 1 is kept
    CHECK(zero.b == std::vector<float>(3, 0.0f));
  }
}

TEST_CASE("decomposition: magnitudes whose squares leave fp32", "[decomposition]") {
  for (const float scale : {1e-25f, 1e25f}) {
    Rig rig;
    std::vector<float> w = with_spectrum(20, 10, {1.0, 0.5, 0.02});
    for (float& x : w) x *= scale;
    const Result result = decompose(rig, w, 20, 10, 0.15f, SvdRoute::kGram);
    CHECK(result.report.k == 2);
    CHECK(result.report.sigma_max == Approx(scale).epsilon(1e-5));
    CHECK(result.report.driver != "gram");  // the Gram matrix over- or underflows
  }
}

TEST_CASE("decomposition: the route follows the cutoff", "[decomposition]") {
  Rig rig;
  const auto w = numbers(30 * 10, 1);
  CHECK(decompose(rig, w, 30, 10, 0.05f).report.driver == "gram");
  CHECK(decompose(rig, w, 30, 10, 0.04f).report.driver != "gram");
  CHECK(decompose(rig, w, 30, 10, 0.0f).report.k == 10);
}

TEST_CASE("decomposition: ranks as threads get the same bits", "[decomposition]") {
  const auto w = numbers(211 * 67, 9);
  for (const SvdRoute route : kRoutes) {
    Result results[3];
    const auto work = [&](Result& result) {  // no assertions: Catch2 is not for several threads
      Rig rig;
      const Buffer buffer = upload(rig, w);
      const Tensor matrix(buffer.data(), {211, 67}, DType::kFloat32);
      const auto factors =
          rig.device->decomposition().decompose(rig.stream, rig.arena, matrix, 0.3f, route);
      result.a = download(rig, factors.a.data(), factors.a.elements());
      result.b = download(rig, factors.b.data(), factors.b.elements());
    };
    std::thread one([&] { work(results[0]); }), two([&] { work(results[1]); });
    one.join();
    two.join();
    work(results[2]);
    for (const Result& result : results) {
      CHECK(same_bits(result.a, results[0].a));
      CHECK(same_bits(result.b, results[0].b));
    }
  }
}

TEST_CASE("decomposition: bad input is named", "[decomposition]") {
  Rig rig;
  for (const float bad : {std::nanf(""), HUGE_VALF}) {
    auto w = numbers(12, 1);
    w[7] = bad;
    CHECK_THROWS_AS(decompose(rig, w, 4, 3, 0.15f), NonFiniteError);
  }
  const auto w = numbers(12, 1);
  CHECK_THROWS_AS(decompose(rig, w, 3, 4, 0.15f), std::invalid_argument);
  for (const float cutoff : {1.0f, -0.1f, std::nanf("")})
    CHECK_THROWS_AS(decompose(rig, w, 4, 3, cutoff), std::invalid_argument);
}

TEST_CASE("decomposition: a dry device takes the largest rank", "[decomposition]") {
  Rig rig(DeviceKind::kDry);
  const Tensor w(rig.arena, {3072, 768}, DType::kFloat32);
  const auto factors =
      rig.device->decomposition().decompose(rig.stream, rig.arena, w, 0.15f, SvdRoute::kAuto);
  CHECK(factors.a.shape() == Shape{3072, 768});
}

}  // namespace
}  // namespace ab::test
