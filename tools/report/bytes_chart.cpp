// What accuracy costs in bytes. The ledger knows sums per phase; here they are spread evenly over
// the steps of the phase, those of decompose, merge and evaluate over the times they happened.
#include <algorithm>
#include <cmath>
#include <map>

#include "tools/report/sections.h"

namespace ab::report {
namespace {

struct Sending {  // bytes sent evenly between two steps, or at once where they are equal
  double from, to, bytes;
};

double sent_until(const std::vector<Sending>& all, double step) {
  double sum = 0.0;
  for (const Sending& s : all)
    if (step >= s.to)
      sum += s.bytes;
    else if (step > s.from)
      sum += s.bytes * (step - s.from) / (s.to - s.from);
  return sum;
}

std::vector<Sending> sendings_of(const RunData& run) {
  std::map<std::string, double> bytes, steps;
  if (run.ledger.is_object() && run.ledger.contains("entries"))
    for (const Json& entry : run.ledger["entries"]) {
      const double sent = number_at(entry, "/sent_bytes");
      if (std::isfinite(sent)) bytes[text_at(entry, "/phase")] += sent;
    }
  std::vector<Sending> all;
  if (bytes.empty()) return all;
  const std::vector<PhaseStretch> phases = run.phases();
  double cycles = 0.0;
  for (const PhaseStretch& stretch : phases) {
    steps[stretch.phase] += static_cast<double>(stretch.to - stretch.from);
    cycles += stretch.phase == "ab";
  }
  for (const PhaseStretch& stretch : phases) {
    const double from = static_cast<double>(stretch.from), to = static_cast<double>(stretch.to);
    all.push_back({from, to, bytes[stretch.phase] * (to - from) / steps[stretch.phase]});
    if (stretch.phase != "ab") continue;
    all.push_back({from, from, bytes["decompose"] / cycles});
    all.push_back({to, to, bytes["merge"] / cycles});
  }
  for (const EvalRow& row : run.evals) {
    const double at = static_cast<double>(row.step);
    all.push_back({at, at, bytes["evaluate"] / static_cast<double>(run.evals.size())});
  }
  all.push_back({0.0, 0.0, bytes["start"]});
  return all;
}

}  // namespace

Chart bytes_chart(const Runs& runs) {
  Chart chart;
  chart.id = "accuracy-bytes";
  chart.title = "Accuracy over traffic";
  chart.x = {"sent by all ranks (GB)", false, 0.0};
  chart.y.title = "top-1 (%)";
  chart.note = "A phase's bytes are spread evenly over its steps. Only of runs with a ledger.";
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::vector<Sending> all = sendings_of(runs[i]);
    Curve curve{runs[i].name, run_css(i), {}, {}};
    curve.dots = runs[i].evals.size() <= 60;
    if (!all.empty())
      for (const EvalRow& row : runs[i].evals) {
        curve.x.push_back(1e-9 * sent_until(all, static_cast<double>(row.step)));
        curve.y.push_back(100.0 * row.top1);
      }
    chart.curves.push_back(std::move(curve));
  }
  return chart;
}

}  // namespace ab::report
