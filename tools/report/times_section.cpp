#include <algorithm>
#include <cmath>
#include <map>

#include "tools/report/html.h"
#include "tools/report/sections.h"

namespace ab::report {
namespace {

Chart time_chart(const Runs& runs, const std::string& id, const std::string& title,
                 double StepRow::*value) {
  Chart chart = step_chart(runs, id, title, "time per step (ms)");
  for (size_t i = 0; i < runs.size(); ++i) {
    Curve curve{runs[i].name, run_css(i) + " thin", {}, {}};
    for (const StepRow& row : runs[i].steps) {
      curve.x.push_back(static_cast<double>(row.step));
      curve.y.push_back(1e3 * row.*value);
    }
    chart.curves.push_back(std::move(curve));
  }
  cut_spikes(chart);
  return chart;
}

// The value below which a share of the finite values lies (nearest rank); NaN of none.
double quantile(std::vector<double> values, double share) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  const double place = std::ceil(share * static_cast<double>(values.size())) - 1.0;
  return values[static_cast<size_t>(std::max(0.0, place))];
}

void add_run(Table& table, const Runs& runs, size_t i) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<const StepRow*>> phases;
  for (const StepRow& row : runs[i].steps) {
    auto& rows = phases[row.phase];
    if (rows.empty()) order.push_back(row.phase);
    rows.push_back(&row);
  }
  for (const std::string& phase : order) {
    std::vector<double> step, wait, images;
    for (const StepRow* row : phases[phase]) {
      step.push_back(row->step_s);
      wait.push_back(row->comm_wait_s);
      images.push_back(row->images_per_s);
    }
    const double middle = quantile(step, 0.5), waited = quantile(wait, 0.5);
    table.row({run_mark(runs, i), escape(phase_title(phase)), std::to_string(step.size()),
               milliseconds(middle), milliseconds(quantile(step, 0.95)), milliseconds(waited),
               percent(waited / middle), count(quantile(images, 0.5))});
  }
}

}  // namespace

std::string times_section(const Runs& runs) {
  Table table({{"run", 'l'},
               {"phase", 'l'},
               {"steps logged"},
               {"step, median (ms)"},
               {"step, 95 % (ms)"},
               {"waiting, median (ms)"},
               {"share waiting"},
               {"images/s"}});
  for (size_t i = 0; i < runs.size(); ++i) add_run(table, runs, i);
  return section(
      "times", "Time per step",
      phase_legend(runs) + "<div class=\"charts\">" +
          chart_html(time_chart(runs, "step-time", "Time per step", &StepRow::step_s)) +
          chart_html(time_chart(runs, "comm-wait", "Of it waiting for gradients (comm_wait)",
                                &StepRow::comm_wait_s)) +
          "</div>\n<p>As rank 0 saw it. The first step, which lays out memory, is among them; "
          "borders between phases and evaluations are not.</p>\n" +
          table.html("times-table"));
}

}  // namespace ab::report
