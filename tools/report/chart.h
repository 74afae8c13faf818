// Chart: curves over a common axis, as SVG that stretches with the page while its text does not.
// The plot is drawn on a plane of 1000 x 1000 that fills its box at any width (strokes keep their
// thickness); labels are HTML at percentages of the box. The values of the drawn points stand
// beside it as JSON, for the pointer (page_script.cpp) and for whoever reads the page with a
// program.
#pragma once
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace ab::report {

struct Curve {
  std::string name;
  std::string css;  // colour and stroke: classes of page_style.cpp
  std::vector<double> x, y;
  bool dots = false;  // a mark at each point
  bool told = true;   // its values are shown at the pointer
};

struct Band {  // from..to of x, shaded
  std::string css, title;
  double from = 0.0, to = 0.0;
};

struct Ribbon {  // the bands of one run, in its colour's company
  std::string css;
  std::vector<Band> bands;
};

struct Level {  // a horizontal line
  double y = 0.0;
  std::string title;
};

struct Axis {
  std::string title;  // with unit
  bool logarithmic = false;
  double low = std::numeric_limits<double>::quiet_NaN();  // NaN: from the curves
  double high = std::numeric_limits<double>::quiet_NaN();
};

struct Chart {
  std::string id, title, note;
  Axis x, y;
  std::vector<Curve> curves;
  std::vector<Band> bands;      // over the whole height
  std::vector<Ribbon> ribbons;  // a strip each below the plot
  std::vector<Level> levels;
  int bins = 600;      // of decimate()
  bool small = false;  // one of many
};

// HTML of a <figure>.
std::string chart_html(const Chart& chart);

// Least and largest finite y of all curves; NaN where there is none. share < 1: the largest but for
// 1 - share of the values.
std::pair<double, double> range_of(const std::vector<Curve>& curves, double share = 1.0);

// Lets the axis of y run from 0 to what all but half a percent of the values stay below, and says
// so in the note: a few spikes must not flatten the rest.
void cut_spikes(Chart& chart);

}  // namespace ab::report
