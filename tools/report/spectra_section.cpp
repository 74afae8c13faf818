#include <algorithm>
#include <cmath>
#include <map>

#include "tools/report/html.h"
#include "tools/report/sections.h"

namespace ab::report {
namespace {

constexpr size_t kMostCurves = 6;  // cycles of a layer
constexpr double kLowest = 1e-3;   // sigma below it is rounding on the Gram route

using Rows = std::vector<const RankRow*>;

std::string layer_chart(const RunData& run, size_t index, size_t place, const Rows& rows) {
  Chart chart;
  chart.id = "spectrum-" + std::to_string(index) + "-" + std::to_string(place);
  chart.title = layer_title(rows[0]->layer);
  chart.small = true;
  chart.x = {"j (of n = " + std::to_string(rows[0]->n) + ")", true, 1.0,
             std::max(2.0, static_cast<double>(rows[0]->n))};
  chart.y = {"σⱼ / σ₁", true, kLowest, 1.0};
  const size_t shown = std::min(kMostCurves, rows.size());
  for (size_t i = 0; i < shown; ++i) {
    const size_t at = shown > 1 ? i * (rows.size() - 1) / (shown - 1) : 0;
    const RankRow& row = *rows[at];
    // The latest is darkest, whatever the number of curves.
    Curve curve{"cycle " + std::to_string(row.cycle) + " (k = " + std::to_string(row.k) + ")",
                "s" + std::to_string(kMostCurves - shown + i),
                {},
                {}};
    for (const auto& [j, sigma] : row.spectrum) {
      curve.x.push_back(static_cast<double>(j));
      curve.y.push_back(sigma);
    }
    chart.curves.push_back(std::move(curve));
  }
  const double cutoff = number_at(run.config, "/ab/sigma_cutoff");
  if (cutoff > kLowest) chart.levels.push_back({cutoff, "cutoff " + number(cutoff)});
  return chart_html(chart);
}

}  // namespace

std::string spectra_section(const Runs& runs) {
  std::string text;
  for (size_t i = 0; i < runs.size(); ++i) {
    std::vector<std::string> order;
    std::map<std::string, Rows> layers;
    for (const RankRow& row : runs[i].ranks) {
      if (row.spectrum.empty()) continue;
      Rows& rows = layers[row.layer];
      if (rows.empty()) order.push_back(row.layer);
      rows.push_back(&row);
    }
    if (order.empty()) continue;
    std::string charts;
    for (size_t place = 0; place < order.size(); ++place)
      charts += layer_chart(runs[i], i, place, layers[order[place]]);
    text += std::string("<details") + (text.empty() ? " open" : "") + "><summary>" +
            run_mark(runs, i) + ", " + std::to_string(order.size()) +
            " layers</summary>\n<div class=\"charts many\">" + charts + "</div></details>\n";
  }
  if (text.empty())
    return section("spectra", "Singular spectra",
                   "<p class=\"note\">No run of this page recorded spectra.</p>\n");
  return section(
      "spectra", "Singular spectra",
      "<p>Singular values of each weight at its decomposition, before the cut, relative to the "
      "largest; both axes logarithmic. <span class=\"legend\"><span>cycle: first "
      "<i class=\"line s0\"></i><i class=\"line s1\"></i><i class=\"line s2\"></i>"
      "<i class=\"line s3\"></i><i class=\"line s4\"></i><i class=\"line s5\"></i> last</span>"
      "<span><i class=\"line cut\"></i> cutoff: what lies below is dropped</span></span></p>\n" +
          text);
}

}  // namespace ab::report
