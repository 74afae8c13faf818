// Random orthogonal matrices: the singular values, the distribution of the entries, the bits.
#include "engine/random_orthogonal.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/catch.h"

namespace ab {
namespace {

std::vector<float> matrix(int64_t rows, int64_t columns, uint64_t seed = 1, uint64_t stream = 2) {
  std::vector<float> w(static_cast<size_t>(rows * columns));
  random_orthogonal(seed, stream, rows, columns, w.data());
  return w;
}

// Mean over the entries of x^power, of entries scaled to a mean square of 1.
double moment(const std::vector<float>& w, int64_t longer, int power) {
  double sum = 0.0;
  for (const float x : w) sum += std::pow(x * std::sqrt(static_cast<double>(longer)), power);
  return sum / static_cast<double>(w.size());
}

}  // namespace

TEST_CASE("the shorter side is orthonormal, whatever the shape") {
  const auto [rows, columns] = GENERATE(table<int64_t, int64_t>(
      {{1, 1}, {1, 2}, {2, 1}, {2, 2}, {3, 5}, {17, 17}, {16, 31}, {97, 31}, {31, 97}, {64, 27}}));
  CAPTURE(rows, columns);
  const std::vector<float> w = matrix(rows, columns);
  const int64_t vectors = std::min(rows, columns), length = std::max(rows, columns);
  const int64_t step = rows >= columns ? 1 : columns, along = rows >= columns ? columns : 1;
  for (int64_t i = 0; i < vectors; ++i)
    for (int64_t j = i; j < vectors; ++j) {
      double dot = i == j ? -1.0 : 0.0;
      for (int64_t l = 0; l < length; ++l)
        dot += static_cast<double>(w[i * step + l * along]) * w[j * step + l * along];
      CHECK(std::fabs(dot) < 2e-6);  // some 20 layers, each rounded to 2^-24
    }
}

// Entries of a random unit vector in n dimensions: mean 0, fourth moment 3 n / (n + 2) of the
// square of their variance. The mean of N such fourth powers strays by sqrt(96 / N), that of N
// entries by 1 / sqrt N; of the excess at the start, n, log2 n halvings and twelve times 3/4 leave
// 0.03.
TEST_CASE("entries are distributed like those of a random direction") {
  const int64_t rows = 300, columns = 1000;
  const std::vector<float> w = matrix(rows, columns);
  const double entries = static_cast<double>(rows * columns);
  CHECK(std::fabs(moment(w, columns, 1)) < 5.0 / std::sqrt(entries));
  CHECK(std::fabs(moment(w, columns, 2) - 1.0) < 1e-6);
  CHECK(std::fabs(moment(w, columns, 4) - 3.0) < 0.04 + 5.0 * std::sqrt(96.0 / entries));
  // No coordinate is preferred: a column's squares, 300 of mean 1 and variance 2, sum up to 300.
  for (int64_t c = 0; c < columns; ++c) {
    double sum = 0.0;
    for (int64_t r = 0; r < rows; ++r)
      sum += static_cast<double>(columns) * w[r * columns + c] * w[r * columns + c];
    CHECK(std::fabs(sum - 300.0) < 6.0 * std::sqrt(600.0));
  }
}

TEST_CASE("a tall matrix is the wide one turned, seeds and streams differ, threads do not matter") {
  const int64_t rows = 40, columns = 130;
  const std::vector<float> w = matrix(rows, columns), tall = matrix(columns, rows);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) REQUIRE(w[r * columns + c] == tall[c * rows + r]);
  CHECK(w != matrix(rows, columns, 2, 2));
  CHECK(w != matrix(rows, columns, 1, 3));
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  CHECK(w == matrix(rows, columns));
  omp_set_num_threads(before);
}

}  // namespace ab
