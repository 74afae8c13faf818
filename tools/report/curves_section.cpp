#include <algorithm>
#include <cmath>

#include "tools/report/html.h"
#include "tools/report/sections.h"

namespace ab::report {
namespace {

constexpr size_t kMostDots = 60;  // evaluations; with more the line says enough
constexpr size_t kMeans = 60;     // points of the thick curve

template <class Row>
Curve curve_of(const RunData& run, size_t index, const std::vector<Row>& rows, double Row::*value,
               double factor = 1.0) {
  Curve curve{run.name, run_css(index), {}, {}};
  for (const Row& row : rows) {
    curve.x.push_back(static_cast<double>(row.step));
    curve.y.push_back(factor * row.*value);
  }
  return curve;
}

// Means over equal stretches of the logged values; empty where the curve is short.
Curve means_of(const Curve& all) {
  Curve means{all.name, all.css + " mean", {}, {}};
  means.told = false;
  const size_t width = std::max<size_t>(3, all.x.size() / kMeans);
  if (all.x.size() < 8 * width) return means;
  for (size_t first = 0; first + width <= all.x.size(); first += width) {
    double x = 0.0, y = 0.0;
    for (size_t i = first; i < first + width; ++i) x += all.x[i], y += all.y[i];
    means.x.push_back(x / static_cast<double>(width));
    means.y.push_back(y / static_cast<double>(width));
  }
  return means;
}

// Every logged value thin and the means over it; or one plain curve where there are few.
void add_noisy(Chart& chart, Curve curve) {
  Curve means = means_of(curve);
  if (means.x.empty()) {
    chart.curves.push_back(std::move(curve));
    return;
  }
  curve.css += " raw";
  chart.curves.push_back(std::move(curve));
  chart.curves.push_back(std::move(means));
  chart.note = "Thin: every logged step. Thick: means over a sixtieth of the run, or three steps.";
}

Chart noisy_chart(const Runs& runs, Chart chart, double StepRow::*value) {
  for (size_t i = 0; i < runs.size(); ++i)
    add_noisy(chart, curve_of(runs[i], i, runs[i].steps, value));
  return chart;
}

Chart loss_chart(const Runs& runs) {
  return noisy_chart(runs, step_chart(runs, "loss", "Training loss", "loss (nats per image)"),
                     &StepRow::loss);
}

Chart accuracy_chart(const Runs& runs) {
  Chart chart = step_chart(runs, "accuracy", "Validation accuracy, top-1", "top-1 (%)");
  for (size_t i = 0; i < runs.size(); ++i) {
    chart.curves.push_back(curve_of(runs[i], i, runs[i].evals, &EvalRow::top1, 100.0));
    chart.curves.back().dots = runs[i].evals.size() <= kMostDots;
  }
  chart.note = "Always of merged weights, over all images of the validation set.";
  return chart;
}

Chart validation_loss_chart(const Runs& runs) {
  Chart chart = step_chart(runs, "validation-loss", "Validation loss", "loss (nats per image)");
  for (size_t i = 0; i < runs.size(); ++i) {
    chart.curves.push_back(curve_of(runs[i], i, runs[i].evals, &EvalRow::loss));
    chart.curves.back().dots = runs[i].evals.size() <= kMostDots;
  }
  return chart;
}

Chart learning_rate_chart(const Runs& runs) {
  Chart chart = step_chart(runs, "learning-rate", "Learning rate", "learning rate");
  for (size_t i = 0; i < runs.size(); ++i)
    chart.curves.push_back(curve_of(runs[i], i, runs[i].steps, &StepRow::lr));
  chart.note = "Drops to 1e-5 at every border between phases and climbs back.";
  return chart;
}

Chart gradient_chart(const Runs& runs) {
  Chart chart =
      step_chart(runs, "gradient-norm", "Gradient norm", "global L2 norm before clipping");
  chart = noisy_chart(runs, std::move(chart), &StepRow::grad_norm);
  cut_spikes(chart);
  return chart;
}

// One run among the others: its curve and its phases in full, the rest grey.
std::string small_multiples(const Runs& runs) {
  std::string text;
  const Chart all = loss_chart(runs);
  const auto [low, high] = range_of(all.curves);
  for (size_t i = 0; i < runs.size(); ++i) {
    Chart chart =
        step_chart({runs[i]}, "loss-" + std::to_string(i), runs[i].name, "loss (nats per image)");
    chart.x.high = all.x.high;
    chart.y.low = low;
    chart.y.high = high;
    chart.bins = 200;
    chart.small = true;
    for (size_t other = 0; other < runs.size(); ++other) {
      if (other == i) continue;
      Curve curve = curve_of(runs[other], other, runs[other].steps, &StepRow::loss);
      Curve means = means_of(curve);
      chart.curves.push_back(means.x.empty() ? std::move(curve) : std::move(means));
      chart.curves.back().css = "ghost";
      chart.curves.back().told = false;
    }
    add_noisy(chart, curve_of(runs[i], i, runs[i].steps, &StepRow::loss));
    chart.note.clear();
    text += chart_html(chart);
  }
  return "<h3>Training loss, run by run</h3>\n<p class=\"note\">Same axes; the run in its colour "
         "over its phases, the others grey.</p>\n<div class=\"charts three\">" +
         text + "</div>\n";
}

}  // namespace

std::string curves_section(const Runs& runs) {
  std::string text = phase_legend(runs);
  if (runs.size() > 1)
    text += "<p class=\"note\">The strips below a chart show the phases of each run.</p>\n";
  text += "<div class=\"charts\">" + chart_html(loss_chart(runs)) +
          chart_html(accuracy_chart(runs)) + chart_html(learning_rate_chart(runs)) +
          chart_html(validation_loss_chart(runs)) + chart_html(gradient_chart(runs)) +
          chart_html(bytes_chart(runs)) + "</div>\n";
  if (runs.size() > 1) text += small_multiples(runs);
  return section("curves", "Loss, accuracy, learning rate", text);
}

}  // namespace ab::report
