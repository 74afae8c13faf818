// AdamW moments across the borders of a cycle.
#include <cmath>

#include "tests/catch.h"
#include "tests/train/rank_fixture.h"

using namespace ab;

TEST_CASE("a merged W goes on with the moments it had, or with none") {
  const std::string moments = GENERATE("zero", "keep", "project");
  CAPTURE(moments);
  const Config config =
      tiny_config("vit", {"method=ab", "ab.group_size=1", "ab.moments=" + moments});
  on_ranks(config, 2, [&](Rank& rank, PhaseBorder& border, int, bool) {
    AdamW& adamw = rank.replica.adamw;
    rank.batch.upload(batch_of(config, 1));
    for (int64_t i = 0; i < 3; ++i) rank.step(i);
    const Parameter& w = rank.replica.factorable[0]->dense();
    const auto first = rank.read(adamw.first_moment(w)), second = rank.read(adamw.second_moment(w));
    border.decompose(0);
    for (int64_t i = 3; i < 5; ++i) rank.step(i);
    border.merge();
    const bool keeps = moments != "zero";
    const std::vector<float> none(first.size(), 0.0f);
    expect(first != none, "three steps left no moments");
    expect(rank.read(adamw.first_moment(w)) == (keeps ? first : none), "first moments");
    expect(rank.read(adamw.second_moment(w)) == (keeps ? second : none), "second moments");
    expect(adamw.updates(w) == (keeps ? 3 : 0), "update count");
  });
}

TEST_CASE("a trained factor begins with the moments that W's imply for it") {
  const Config config = tiny_config("vit", {"method=ab", "ab.group_size=1", "ab.moments=project"});
  on_ranks(config, 2, [&](Rank& rank, PhaseBorder& border, int, bool trains_a) {
    AdamW& adamw = rank.replica.adamw;
    rank.batch.upload(batch_of(config, 1));
    for (int64_t i = 0; i < 3; ++i) rank.step(i);
    std::vector<std::vector<float>> first, second;
    for (const FactoredWeight* w : rank.replica.factorable) {
      first.push_back(rank.read(adamw.first_moment(w->dense())));
      second.push_back(rank.read(adamw.second_moment(w->dense())));
    }
    border.decompose(0);
    for (size_t at = 0; at < first.size(); ++at) {
      const FactoredWeight& w = *rank.replica.factorable[at];
      const Parameter& trained = trains_a ? w.a() : w.b();
      const bool outer = &trained == &w.outer();
      const auto fixed = rank.read((outer ? w.inner() : w.outer()).value);
      const auto m = rank.read(adamw.first_moment(trained));
      const auto v = rank.read(adamw.second_moment(trained));
      const int64_t k = w.rank(), in = w.in(), terms = outer ? in : w.out();
      for (size_t e = 0; e < m.size(); ++e) {
        // outer (out, k): row i of W, row c of inner (k, in). inner (k, in): column j, column c of
        // outer.
        const auto row = static_cast<int64_t>(e) / (outer ? k : in);
        const auto column = static_cast<int64_t>(e) % (outer ? k : in);
        double mean = 0.0, square = 0.0, magnitude = 0.0;
        for (int64_t t = 0; t < terms; ++t) {
          const size_t g = static_cast<size_t>(outer ? row * in + t : t * in + column);
          const double f = fixed[static_cast<size_t>(outer ? column * in + t : t * k + row)];
          mean += first[at][g] * f, magnitude += std::abs(first[at][g] * f);
          square += second[at][g] * f * f;
        }
        const double bound = static_cast<double>(terms + 2) * 0x1p-23;
        expect(std::abs(m[e] - mean) <= bound * magnitude, "first moment of " + trained.name);
        expect(std::abs(v[e] - square) <= 2 * bound * square, "second moment of " + trained.name);
      }
      expect(adamw.updates(trained) == 3, "update count of " + trained.name);
    }
  });
}
