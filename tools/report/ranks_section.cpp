#include <algorithm>
#include <map>

#include "tools/report/html.h"
#include "tools/report/sections.h"

namespace ab::report {
namespace {

constexpr int kShades = 9;
constexpr size_t kMostNumbers = 14;  // cycles; with more the cells show their colour alone
constexpr size_t kMostCycles = 60;   // columns; with more every so many cycles are left out

struct LayerRow {
  const RankRow* first = nullptr;
  std::map<int, const RankRow*> cycles;
};

std::string cell(const RankRow& row, bool numbers) {
  const double share = row.n > 0 ? static_cast<double>(row.k) / static_cast<double>(row.n) : 0.0;
  const int shade = std::clamp(static_cast<int>(share * kShades), 0, kShades - 1);
  const bool larger = row.k * (row.m + row.n) >= row.m * row.n;
  const std::string told = row.k == 0 ? "dense (guard)"
                                      : "k = " + std::to_string(row.k) + " of " +
                                            std::to_string(row.n) + ", " + percent(share);
  return "<td class=\"" + (row.k == 0 ? std::string("none") : "h" + std::to_string(shade)) +
         (larger && row.k > 0 ? " larger" : "") + "\" title=\"" + escape(layer_title(row.layer)) +
         ", cycle " + std::to_string(row.cycle) + ": " + told + "\">" +
         (numbers ? std::to_string(row.k) : "") + "</td>";
}

std::string rank_map(const Runs& runs, size_t index) {
  std::vector<LayerRow> layers;
  std::map<std::string, size_t> place;
  std::map<int, bool> cycles;
  for (const RankRow& row : runs[index].ranks) {
    const auto [at, fresh] = place.try_emplace(row.layer, layers.size());
    if (fresh) layers.push_back({&row, {}});
    layers[at->second].cycles[row.cycle] = &row;
    cycles[row.cycle] = true;
  }
  const size_t every = (cycles.size() + kMostCycles - 1) / kMostCycles;
  const bool numbers = cycles.size() <= kMostNumbers;
  std::vector<int> shown;
  size_t counted = 0;
  for (const auto& [cycle, there] : cycles)
    if (counted++ % every == 0) shown.push_back(cycle);
  std::string text = "<figure class=\"map\" id=\"ranks-" + std::to_string(index) +
                     "\"><figcaption>" + run_mark(runs, index) +
                     "</figcaption><div class=\"scroll\"><table class=\"heat" +
                     (numbers ? " numbers" : "") + "\"><thead><tr><th class=\"l\">layer</th>";
  for (const int cycle : shown)
    text += "<th>" + (numbers ? std::to_string(cycle) : std::string()) + "</th>";
  text += "<th class=\"full\">n</th></tr></thead><tbody>\n";
  for (const LayerRow& layer : layers) {
    text += "<tr><th class=\"l\">" + escape(layer_title(layer.first->layer)) + "</th>";
    for (const int cycle : shown) {
      const auto found = layer.cycles.find(cycle);
      text += found == layer.cycles.end() ? "<td></td>" : cell(*found->second, numbers);
    }
    text += "<td class=\"full\">" + std::to_string(layer.first->n) + "</td></tr>\n";
  }
  text += "</tbody></table></div><p class=\"note\">Columns: cycle" +
          (shown.empty()
               ? "s"
               : "s " + std::to_string(shown.front()) + " to " + std::to_string(shown.back())) +
          (every > 1 ? ", every " + std::to_string(every) : "") + ".</p></figure>\n";
  return text;
}

}  // namespace

std::string ranks_section(const Runs& runs) {
  std::string maps;
  for (size_t i = 0; i < runs.size(); ++i)
    if (!runs[i].ranks.empty()) maps += rank_map(runs, i);
  if (maps.empty())
    return section("ranks", "Kept rank",
                   "<p class=\"note\">No run of this page decomposed a weight.</p>\n");
  std::string legend = "<p class=\"legend\"><span>k / n:</span><span class=\"scale\">0";
  for (int shade = 0; shade < kShades; ++shade)
    legend += "<i class=\"h" + std::to_string(shade) + "\"></i>";
  legend +=
      "1 (full rank)</span><span><i class=\"corner larger\"></i>corner: A and B hold as many "
      "numbers "
      "as the weight, or more, k(m+n) ≥ mn</span></p>\n";
  return section("ranks", "Kept rank per layer and cycle",
                 "<p>The rank k that a layer kept when it was decomposed, W (m, n) → A (m, k) · B "
                 "(k, n); n is its full rank.</p>\n" +
                     legend + "<div class=\"maps\">" + maps + "</div>\n");
}

}  // namespace ab::report
