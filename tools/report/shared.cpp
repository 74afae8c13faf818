// What the sections share: colours, names, the phases of runs.
#include <algorithm>
#include <cmath>
#include <map>

#include "tools/report/html.h"
#include "tools/report/sections.h"

namespace ab::report {
namespace {

std::vector<Band> bands_of(const RunData& run, const std::string& prefix) {
  std::vector<Band> bands;
  for (const PhaseStretch& stretch : run.phases()) {
    std::string title = prefix + phase_title(stretch.phase);
    if (stretch.cycle >= 0) title += ", cycle " + std::to_string(stretch.cycle);
    title += ", steps " + std::to_string(stretch.from + 1) + " to " + std::to_string(stretch.to);
    bands.push_back({phase_css(stretch.phase), title, static_cast<double>(stretch.from),
                     static_cast<double>(stretch.to)});
  }
  return bands;
}

}  // namespace

std::string run_css(size_t run) {
  // Eight colours; then the same once more, dashed, then dotted.
  return "r" + std::to_string(run % 8) + (run < 8 ? "" : run < 16 ? " dashed" : " dotted");
}

std::string phase_css(const std::string& phase) {
  for (const char* known : {"warmup", "ab", "rebound"})
    if (phase == known) return "p-" + phase;
  return "p-other";
}

std::string phase_title(const std::string& phase) {
  if (phase == "warmup") return "warm-up (full rank)";
  if (phase == "ab") return "group phase (A or B)";
  if (phase == "rebound") return "rebound (full rank)";
  return phase.empty() ? "phase not named" : phase;
}

std::string run_mark(const Runs& runs, size_t run) {
  return "<span class=\"mark " + run_css(run) + "\"></span>" + escape(runs[run].name);
}

std::string layer_title(const std::string& layer) {
  const std::string tail = ".weight";
  const bool has = layer.size() > tail.size() && layer.ends_with(tail);
  return has ? layer.substr(0, layer.size() - tail.size()) : layer;
}

std::string section(const std::string& id, const std::string& title, const std::string& body) {
  return "<section id=\"" + id + "\">\n<h2>" + title + "</h2>\n" + body + "</section>\n";
}

Chart step_chart(const Runs& runs, const std::string& id, const std::string& title,
                 const std::string& y_title) {
  Chart chart;
  chart.id = id;
  chart.title = title;
  chart.x.title = "step (update)";
  chart.x.low = 0.0;
  chart.x.high = 1.0;
  for (const RunData& run : runs)
    chart.x.high = std::max(chart.x.high, static_cast<double>(run.last_step()));
  chart.y.title = y_title;
  if (runs.size() == 1)
    chart.bands = bands_of(runs[0], "");
  else
    for (size_t i = 0; i < runs.size(); ++i)
      chart.ribbons.push_back({run_css(i), bands_of(runs[i], runs[i].name + ": ")});
  return chart;
}

std::string phase_legend(const Runs& runs) {
  std::map<std::string, std::string> seen;  // title to class
  for (const RunData& run : runs)
    for (const PhaseStretch& stretch : run.phases())
      seen[phase_title(stretch.phase)] = phase_css(stretch.phase);
  std::string text = "<p class=\"legend\"><span>Phases:</span>";
  for (const char* known : {"warmup", "ab", "rebound"}) {
    const auto found = seen.find(phase_title(known));
    if (found == seen.end()) continue;
    text += "<span><i class=\"swatch " + found->second + "\"></i>" + found->first + "</span>";
    seen.erase(found);
  }
  for (const auto& [title, css] : seen)
    text += "<span><i class=\"swatch " + css + "\"></i>" + escape(title) + "</span>";
  text += "</p>";
  if (runs.size() < 2) return text;
  text += "<p class=\"legend\"><span>Runs:</span>";
  for (size_t i = 0; i < runs.size(); ++i) text += "<span>" + run_mark(runs, i) + "</span>";
  return text + "</p>";
}

}  // namespace ab::report
