#include "tools/report/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "tools/report/html.h"
#include "tools/report/scale.h"

namespace ab::report {
namespace {

constexpr double kPlane = 1000.0;
constexpr size_t kRibbon = 8;  // height of a strip in pixels, as in the style

struct Scales {
  Scale x, y;
};

std::string place(double share) {
  return text_of("%.1f", kPlane * share);
}

Scales scales_of(const Chart& chart) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Curve& curve : chart.curves)
    for (const double x : curve.x) low = std::min(low, x), high = std::max(high, x);
  const auto [least, largest] = range_of(chart.curves);
  const auto or_else = [](double given, double found) {
    return std::isfinite(given) ? given : found;
  };
  return {{or_else(chart.x.low, low), or_else(chart.x.high, high), chart.x.logarithmic},
          Scale::rounded(or_else(chart.y.low, least), or_else(chart.y.high, largest),
                         chart.y.logarithmic)};
}

// Rectangles of the plane from `top` on; on a strip they leave a gap to the next one.
std::string bands_svg(const std::vector<Band>& bands, const Scale& x, double top, double height) {
  std::string text;
  for (const Band& band : bands)
    text += "<rect class=\"band " + band.css + "\" x=\"" + place(x.at(band.from)) + "\" y=\"" +
            place(top) + "\" width=\"" + place(x.at(band.to) - x.at(band.from)) + "\" height=\"" +
            place(height) + "\"><title>" + escape(band.title) + "</title></rect>";
  return text;
}

// A strip for each run below the plot, its mark in the margin.
std::string ribbons_html(const Chart& chart, const Scale& x) {
  if (chart.ribbons.empty()) return "";
  const size_t count = chart.ribbons.size();
  const double height = 1.0 / static_cast<double>(count);
  std::string marks, strips;
  for (size_t i = 0; i < count; ++i) {
    marks += "<span class=\"mark " + chart.ribbons[i].css + "\"></span>";
    strips += bands_svg(chart.ribbons[i].bands, x, height * static_cast<double>(i), 0.8 * height);
  }
  return "<div class=\"rm\" aria-hidden=\"true\">" + marks +
         "</div><div class=\"rs\"><svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" "
         "role=\"img\" aria-label=\"phases of the runs\" style=\"height:" +
         std::to_string(kRibbon * count) + "px\">" + strips + "</svg></div>";
}

std::string grid_svg(const Chart& chart, const Scales& scales) {
  std::string grid;
  for (const double tick : scales.y.ticks(5))
    grid += "M0 " + place(1.0 - scales.y.at(tick)) + "H1000";
  std::string text = "<path class=\"grid\" d=\"" + grid + "\"/>";
  for (const Level& level : chart.levels)
    text += "<path class=\"level\" d=\"M0 " + place(1.0 - scales.y.at(level.y)) +
            "H1000\"><title>" + escape(level.title) + "</title></path>";
  return text;
}

// The drawn points: a path, and their values.
std::string curve_svg(const Curve& curve, const Scales& scales, int bins, Json& told) {
  std::string line, dots;
  Json xs = Json::array(), ys = Json::array();
  bool pen_down = false;
  for (const size_t i : decimate(curve.x, curve.y, bins)) {
    if (!std::isfinite(curve.y[i])) {
      pen_down = false;
      continue;
    }
    const std::string at =
        place(scales.x.at(curve.x[i])) + " " + place(1.0 - scales.y.at(curve.y[i]));
    line += (pen_down ? "L" : "M") + at;
    if (curve.dots) dots += "M" + at + "h0";
    pen_down = true;
    xs.push_back(curve.x[i]);
    ys.push_back(std::strtod(text_of("%.6g", curve.y[i]).c_str(), nullptr));
  }
  if (curve.told) told.push_back({{"name", curve.name}, {"css", curve.css}, {"x", xs}, {"y", ys}});
  if (line.empty()) return "";
  std::string text = "<path class=\"curve " + curve.css + "\" d=\"" + line + "\"/>";
  if (curve.dots) text += "<path class=\"dots " + curve.css + "\" d=\"" + dots + "\"/>";
  return text;
}

std::string labels(const Chart& chart, const Scales& scales) {
  std::string text = "<div class=\"ys\" aria-hidden=\"true\">";
  for (const double tick : scales.y.ticks(5))
    text += "<span style=\"top:" + text_of("%.2f", 100.0 * (1.0 - scales.y.at(tick))) + "%\">" +
            tick_text(tick) + "</span>";
  text += "</div><div class=\"xs\" aria-hidden=\"true\">";
  for (const double tick : scales.x.ticks(chart.small ? 3 : 5))
    text += "<span style=\"left:" + text_of("%.2f", 100.0 * scales.x.at(tick)) + "%\">" +
            tick_text(tick) + "</span>";
  return text + "</div><div class=\"xt\">" + escape(chart.x.title) + "</div>";
}

}  // namespace

std::pair<double, double> range_of(const std::vector<Curve>& curves, double share) {
  std::vector<double> values;
  for (const Curve& curve : curves)
    for (const double y : curve.y)
      if (std::isfinite(y)) values.push_back(y);
  if (values.empty())
    return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  std::sort(values.begin(), values.end());
  const auto last = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  return {values.front(), values[last]};
}

void cut_spikes(Chart& chart) {
  const double largest = range_of(chart.curves).second;
  const double most = range_of(chart.curves, 0.995).second;
  chart.y.low = 0.0;
  chart.y.high = most;
  if (!(largest > Scale::rounded(0.0, most).high())) return;
  chart.note += (chart.note.empty() ? "" : " ") +
                text_of("Cut above 99.5 %% of the values; the largest is %.4g.", largest);
}

std::string chart_html(const Chart& chart) {
  const Scales scales = scales_of(chart);
  Json told = Json::array();
  std::string drawn;
  for (const Curve& curve : chart.curves) drawn += curve_svg(curve, scales, chart.bins, told);
  std::string text = "<figure class=\"" + std::string(chart.small ? "chart small" : "chart") +
                     "\" id=\"" + chart.id + "\">\n<figcaption>" + escape(chart.title) +
                     "</figcaption>\n";
  text += "<div class=\"yt\">" + escape(chart.y.title) + "</div><div class=\"frame\">";
  text +=
      "<div class=\"plot\"><svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" "
      "role=\"img\" aria-label=\"" +
      escape(chart.title + ": " + chart.y.title + " over " + chart.x.title) + "\">";
  text += bands_svg(chart.bands, scales.x, 0.0, 1.0) + grid_svg(chart, scales) + drawn;
  text += "</svg></div>" + ribbons_html(chart, scales.x) + labels(chart, scales) + "</div>\n";
  if (drawn.empty()) text += "<p class=\"note\">nothing was logged</p>";
  if (!chart.note.empty()) text += "<p class=\"note\">" + escape(chart.note) + "</p>";
  const Json data = {{"x",
                      {{"title", chart.x.title},
                       {"low", scales.x.low()},
                       {"high", scales.x.high()},
                       {"log", chart.x.logarithmic}}},
                     {"y",
                      {{"title", chart.y.title},
                       {"low", scales.y.low()},
                       {"high", scales.y.high()},
                       {"log", chart.y.logarithmic}}},
                     {"curves", told}};
  return text + "<script type=\"application/json\">" + script_json(data) + "</script></figure>\n";
}

}  // namespace ab::report
