// What becomes of the factors at a merge, each rule against the same sums in double.
#include <cmath>

#include "tests/catch.h"
#include "tests/train/rank_fixture.h"

using namespace ab;

namespace {

using Doubles = std::vector<double>;

Doubles doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// a (m, k) b (k, n), and the same sum over magnitudes.
struct Product {
  Doubles value, magnitude;
};
Product product(const Doubles& a, const Doubles& b, int64_t k) {
  const int64_t m = static_cast<int64_t>(a.size()) / k, n = static_cast<int64_t>(b.size()) / k;
  Product p{Doubles(static_cast<size_t>(m * n)), Doubles(static_cast<size_t>(m * n))};
  for (int64_t i = 0; i < m; ++i)
    for (int64_t l = 0; l < k; ++l)
      for (int64_t j = 0; j < n; ++j) {
        const double term = a[i * k + l] * b[l * n + j];
        p.value[i * n + j] += term;
        p.magnitude[i * n + j] += std::abs(term);
      }
  return p;
}

Doubles sum(double x, const Doubles& a, double y, const Doubles& b) {
  Doubles c(a.size());
  for (size_t i = 0; i < c.size(); ++i) c[i] = x * a[i] + y * b[i];
  return c;
}

double distance(const Doubles& a, const Doubles& b) {
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

// The change that a rank makes to its factor in a cycle.
Doubles noise(size_t size, int rank, int cycle) {
  Doubles values(size);
  for (size_t i = 0; i < size; ++i)
    values[i] = 0.1f * (uniform(philox(7, static_cast<uint64_t>(rank * 100 + cycle), i).x) - 0.5f);
  return values;
}

void change(Rank& rank, const Parameter& factor, const Doubles& by) {
  std::vector<float> values = rank.read(factor.value);
  for (size_t i = 0; i < values.size(); ++i) values[i] += static_cast<float>(by[i]);
  rank.write(factor.value, values);
}

// A or B after averaging `learned`-wise over the half that trained it, ranks [first, last).
Doubles averaged(const Doubles& begun, int first, int last, int cycle) {
  Doubles mean = begun;
  for (int r = first; r < last; ++r)
    mean = sum(1.0, mean, 1.0 / (last - first), noise(begun.size(), r, cycle));
  return mean;
}

}  // namespace

TEST_CASE("mean of products is (A' B0 + A0 B') / 2") {
  const Config config =
      tiny_config("resnet", {"method=ab", "ab.group_size=1", "ab.merge=mean_of_products",
                             "train.init=default", "ab.sigma_cutoff=0.3"});
  on_ranks(config, 4, [](Rank& rank, PhaseBorder& border, int me, bool trains_a) {
    border.decompose(0);
    std::vector<std::pair<const FactoredWeight*, std::pair<Product, Product>>> expected;
    for (const size_t i : {size_t{0}, size_t{5}}) {  // a square weight and a longer one
      const FactoredWeight& weight = *rank.replica.factorable[i];
      const bool outer_is_a = &weight.outer() == &weight.a();
      const Doubles outer = doubles(rank.read(weight.outer().value)),
                    inner = doubles(rank.read(weight.inner().value));
      const int64_t k = weight.rank();
      const auto trained = [&](const Doubles& begun, bool a) {
        return averaged(begun, a ? 0 : 2, a ? 2 : 4, 0);
      };
      expected.push_back({&weight,
                          {product(trained(outer, outer_is_a), inner, k),
                           product(outer, trained(inner, !outer_is_a), k)}});
      const Parameter& mine = trains_a ? weight.a() : weight.b();
      change(rank, mine, noise(static_cast<size_t>(mine.shape.elements()), me, 0));
    }
    std::vector<int64_t> kept;
    for (const auto& [weight, products] : expected) kept.push_back(weight->rank());
    border.merge();
    for (size_t i = 0; i < expected.size(); ++i) {
      const auto& [first, second] = expected[i].second;
      const Doubles w = doubles(rank.read(expected[i].first->dense().value));
      for (size_t e = 0; e < w.size(); ++e) {
        const double bound = (static_cast<double>(2 * kept[i]) + 8) * 0x1p-23 *
                             (first.magnitude[e] + second.magnitude[e]);
        expect(std::abs(w[e] - 0.5 * (first.value[e] + second.value[e])) <= bound,
               "element " + std::to_string(e) + " is " + std::to_string(w[e]));
      }
    }
  });
}

TEST_CASE("groups that see the same data: the rules differ by a quarter of dA dB") {
  // Two groups of one rank on one batch; dA = A' - A0, dB = B' - B0.
  //   all                ((A0 + A')/2) ((B0 + B')/2)   = mean of products + dA dB / 4
  //   learned            A' B'                         = A0 B0 + dA B0 + A0 dB + dA dB
  //   mean of products   (A' B0 + A0 B') / 2           = A0 B0 + (dA B0 + A0 dB) / 2
  struct Merged {
    Doubles w, w0, cross;  // cross: dA dB
  };
  const auto train = [](const std::string& rule) {
    Merged merged;
    const Config config = tiny_config("vit", {"method=ab", "ab.group_size=1", "ab.merge=" + rule});
    std::vector<Doubles> moved(2);
    on_ranks(config, 2, [&](Rank& rank, PhaseBorder& border, int me, bool trains_a) {
      rank.batch.upload(batch_of(config, 1));
      border.decompose(0);
      const FactoredWeight& weight = *rank.replica.factorable[0];
      const Parameter& mine = trains_a ? weight.a() : weight.b();
      const Doubles outer = doubles(rank.read(weight.outer().value)),
                    inner = doubles(rank.read(weight.inner().value)),
                    begun = doubles(rank.read(mine.value));
      for (int64_t i = 0; i < 5; ++i) rank.step(i);
      const auto step = sum(1.0, doubles(rank.read(mine.value)), -1.0, begun);
      moved[static_cast<size_t>(me)] = step;
      const int64_t k = weight.rank();
      border.merge();  // both have written `moved` by now
      if (me != 0) return;
      const bool outer_is_a = &weight.outer() == &weight.a();
      merged.w = doubles(rank.read(weight.dense().value));
      merged.w0 = product(outer, inner, k).value;
      merged.cross = product(moved[outer_is_a ? 0 : 1], moved[outer_is_a ? 1 : 0], k).value;
    });
    return merged;
  };
  const Merged all = train("all"), learned = train("learned"), mean = train("mean_of_products");
  REQUIRE(distance(mean.w, mean.w0) > 1e-4);  // something was learned
  CHECK(distance(all.w, sum(1.0, mean.w, 0.25, mean.cross)) < 1e-6);
  const Doubles twice = sum(2.0, mean.w, -1.0, mean.w0);  // the whole step of both halves
  CHECK(distance(learned.w, sum(1.0, twice, 1.0, mean.cross)) < 1e-6);
}

TEST_CASE("the outer optimiser: lr 1 without momentum changes nothing, momentum sums up") {
  const double lr = GENERATE(1.0, 0.7), momentum = lr == 1.0 ? 0.0 : 0.9;
  CAPTURE(lr, momentum);
  const Config config = tiny_config(
      "vit", {"method=ab", "ab.group_size=1", "ab.outer=nesterov", "ab.sigma_cutoff=0.2",
              "train.init=default", "ab.outer_lr=" + std::to_string(lr),
              "ab.outer_momentum=" + std::to_string(momentum)});
  on_ranks(config, 2, [=](Rank& rank, PhaseBorder& border, int me, bool trains_a) {
    const FactoredWeight& weight = *rank.replica.factorable[1];
    Doubles u;
    for (int cycle = 0; cycle < 3; ++cycle) {
      border.decompose(cycle);
      const bool outer_is_a = &weight.outer() == &weight.a();
      const Doubles outer = doubles(rank.read(weight.outer().value)),
                    inner = doubles(rank.read(weight.inner().value));
      const int64_t k = weight.rank();
      // merge=all over two ranks halves each one's change.
      const auto half = [&](const Doubles& begun, bool a) {
        return sum(1.0, begun, 0.5, noise(begun.size(), a ? 0 : 1, cycle));
      };
      const Parameter& mine = trains_a ? weight.a() : weight.b();
      change(rank, mine, noise(static_cast<size_t>(mine.shape.elements()), me, cycle));
      border.merge();
      const Doubles w0 = product(outer, inner, k).value;
      const Doubles plain = product(half(outer, outer_is_a), half(inner, !outer_is_a), k).value;
      const Doubles d = sum(1.0, w0, -1.0, plain);
      u = sum(1.0, d, momentum, u.empty() ? Doubles(d.size()) : u);
      const Doubles expected = sum(1.0, w0, -lr, sum(1.0, d, momentum, u));
      const Doubles w = doubles(rank.read(weight.dense().value));
      const double off = distance(w, expected);
      expect(off < 1e-6, "off by " + std::to_string(off) + " in cycle " + std::to_string(cycle));
      if (momentum == 0.0) expect(distance(w, plain) < 1e-6, "lr 1 changed the merge");
      if (momentum > 0.0) expect(distance(w, plain) > 1e-3, "the outer step did nothing");
    }
  });
}

TEST_CASE("no rule sends a byte more than learned does") {
  const auto sent = [](const std::string& rule) {
    const Config config = tiny_config("vit", {"method=ab", rule});
    return planned(config, 4, 2, LayerRanks(2, std::vector<int64_t>(8, 3)));
  };
  const auto learned = sent("ab.merge=learned");
  CHECK(sent("ab.merge=mean_of_products") == learned);
  CHECK(sent("ab.outer=nesterov") == learned);
  CHECK(sent("ab.moments=keep") == learned);
  CHECK(sent("ab.moments=project") == learned);
}
