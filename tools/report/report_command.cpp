#include "tools/report/report_command.h"

#include <cstdio>

#include "tools/report/html.h"
#include "tools/report/page.h"
#include "tools/train/file_write.h"

namespace ab {

int report_command(const Options& options) {
  const report::Runs runs = report::read_runs(options.run_folders);
  const std::string page = report::page_html(runs);
  write_whole_file(options.page, page);
  for (const report::RunData& run : runs)
    for (const std::string& note : run.notes)
      std::fprintf(stderr, "abtrain: note: %s\n", note.c_str());
  std::printf("wrote %s: %zu run%s, %s\n", options.page.c_str(), runs.size(),
              runs.size() == 1 ? "" : "s", report::bytes(static_cast<double>(page.size())).c_str());
  return 0;
}

}  // namespace ab
