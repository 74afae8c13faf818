#include <cmath>

#include "tools/report/html.h"
#include "tools/report/sections.h"

namespace ab::report {
namespace {

std::string status_mark(const RunData& run) {
  const std::string css = !run.exit() ? "open" : *run.exit() == 0 ? "good" : "bad";
  return "<span class=\"status " + css + "\">" + escape(run.status()) + "</span>";
}

std::string seconds(double value) {
  return std::isfinite(value) ? text_of("%.1f", value) : "–";
}

// The last evaluation where the summary is not written yet.
double last_top1(const RunData& run) {
  const double told = number_at(run.summary, "/top1_last");
  return std::isfinite(told) || run.evals.empty() ? told : run.evals.back().top1;
}

std::string place_of(const RunData& run) {
  std::string text = escape(text_at(run.config, "/device"));
  const double world = number_at(run.config, "/world");
  if (std::isfinite(world)) text += ", " + count(world) + (world == 1.0 ? " rank" : " ranks");
  const double groups = number_at(run.config, "/resolved/groups");
  if (groups > 1.0)
    text += " in " + count(groups) + " groups of " +
            count(number_at(run.config, "/resolved/group_size"));
  return text + ", " + escape(text_at(run.config, "/train/precision")) + ", abtrain " +
         escape(text_at(run.config, "/version")) + " (" + escape(text_at(run.config, "/commit")) +
         ")";
}

std::string notes_of(const Runs& runs) {
  std::string items;
  for (const RunData& run : runs)
    for (const std::string& note : run.notes) items += "<li>" + escape(note) + "</li>\n";
  return items.empty() ? ""
                       : "<div class=\"notes\" id=\"notes\"><h3>Notes on the files</h3><ul>\n" +
                             items + "</ul></div>\n";
}

}  // namespace

std::string runs_section(const Runs& runs) {
  Table table({{"run", 'l'},
               {"state", 'l'},
               {"top-1 last"},
               {"top-1 best"},
               {"sent by all ranks"},
               {"traffic reduction"},
               {"compression"},
               {"steps"},
               {"global batch"},
               {"seconds"},
               {"images/s"},
               {"method", 'l'}});
  std::string places;
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunData& run = runs[i];
    table.row({run_mark(runs, i), status_mark(run), percent(last_top1(run), 2),
               percent(number_at(run.summary, "/top1_best"), 2),
               bytes(number_at(run.summary, "/total_sent_bytes")),
               percent(number_at(run.summary, "/traffic_reduction")),
               ratio(number_at(run.summary, "/compression")), std::to_string(run.last_step()),
               count(number_at(run.config, "/resolved/global_batch")),
               seconds(number_at(run.summary, "/seconds")),
               count(number_at(run.summary, "/images_per_s")),
               escape(text_at(run.config, "/method"))});
    places += "<li>" + run_mark(runs, i) + ": <code>" + escape(run.folder) + "</code>, " +
              escape(text_at(run.config, "/model/name")) + ", " + place_of(run) + "</li>\n";
  }
  return section(
      "runs", "Runs",
      table.html("runs-table") + "<ul class=\"places\">\n" + places + "</ul>\n" + notes_of(runs));
}

}  // namespace ab::report
