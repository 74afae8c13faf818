// The report's axes and its honest thinning of long curves.
#include <algorithm>
#include <cmath>

#include "tests/catch.h"
#include "tools/report/html.h"
#include "tools/report/scale.h"

using namespace ab::report;

TEST_CASE("report: axes end on round numbers") {
  const Scale loss = Scale::rounded(0.53, 2.31);
  CHECK(loss.low() == Approx(0.5));
  CHECK(loss.high() == Approx(2.5));
  CHECK(loss.at(1.5) == Approx(0.5));
  CHECK(loss.ticks(5).size() == 5);  // 0.5, 1, 1.5, 2, 2.5
  const Scale sigma = Scale::rounded(0.002, 1.0, true);
  CHECK(sigma.low() == Approx(1e-3));
  CHECK(sigma.at(std::sqrt(1e-3)) == Approx(0.5));
  CHECK(sigma.at(0.0) == 0.0);
  for (const double odd : {std::nan(""), -1.0, static_cast<double>(INFINITY)}) {
    const Scale scale = Scale::rounded(odd, odd);
    CHECK(scale.high() > scale.low());
    CHECK(scale.ticks(5).size() < 20);
  }
}

TEST_CASE("report: tick labels are short") {
  CHECK(tick_text(0.0) == "0");
  CHECK(tick_text(0.0005) == "0.0005");
  CHECK(tick_text(0.00001) == "1e-5");
  CHECK(tick_text(1500.0) == "1500");
  CHECK(tick_text(24000.0) == "24k");
  CHECK(tick_text(2500000.0) == "2.5M");
}

TEST_CASE("report: a long curve keeps its extremes, ends and gaps") {
  std::vector<double> x, y;
  for (int i = 0; i < 30000; ++i) {
    x.push_back(i);
    y.push_back(std::sin(0.01 * i));
  }
  y[17000] = 9.0;
  y[17001] = -9.0;
  y[20000] = std::nan("");
  const std::vector<size_t> kept = decimate(x, y, 600);
  CHECK(kept.size() <= 5 * 600);
  CHECK(std::is_sorted(kept.begin(), kept.end()));
  CHECK((kept.front() == 0 && kept.back() == 29999));
  for (const size_t wanted : {17000, 17001, 20000})
    CHECK(std::binary_search(kept.begin(), kept.end(), wanted));
  // Few points all stay.
  CHECK(decimate({1, 2, 3}, {5, 5, 5}, 600).size() == 3);
}

TEST_CASE("report: text is escaped for HTML and for scripts") {
  CHECK(escape("<a href=\"x\">'&'\n") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39; ");
  CHECK(script_json({{"a", "</script>"}}) == R"({"a":"\u003c/script>"})");
  CHECK(number(std::nan("")) == "–");
  CHECK(percent(0.937, 2) == "93.70 %");
}
