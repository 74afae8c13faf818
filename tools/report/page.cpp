#include "tools/report/page.h"

#include "tools/report/html.h"
#include "tools/train/options.h"

namespace ab::report {
namespace {

std::string title_of(const Runs& runs) {
  std::string title = "AB-training: ";
  if (runs.size() > 3) return title + std::to_string(runs.size()) + " runs";
  for (size_t i = 0; i < runs.size(); ++i) title += (i ? ", " : "") + runs[i].name;
  return title;
}

const char* const kContents =
    "<nav><a href=\"#runs\">Runs</a><a href=\"#curves\">Curves</a><a href=\"#ranks\">Ranks</a>"
    "<a href=\"#spectra\">Spectra</a><a href=\"#traffic\">Traffic</a><a href=\"#times\">Time</a>"
    "<a href=\"#paper\">Paper</a></nav>\n";

}  // namespace

std::string page_html(const Runs& runs) {
  const std::string title = escape(title_of(runs));
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<link rel=\"icon\" href=\"data:,\">\n<title>" +
         title + "</title>\n<style>\n" + kPageStyle + "</style>\n</head>\n<body>\n<header><h1>" +
         title + "</h1>\n" + kContents + "</header>\n<main>\n" + runs_section(runs) +
         curves_section(runs) + ranks_section(runs) + spectra_section(runs) +
         traffic_section(runs) + times_section(runs) + paper_section(runs) +
         "</main>\n<footer>Made by " + escape(version_text()) +
         ", <code>abtrain report</code>, from the files of the runs.</footer>\n<div id=\"tip\" "
         "hidden></div>\n<script>\n" +
         kPageScript + "</script>\n</body>\n</html>\n";
}

}  // namespace ab::report
